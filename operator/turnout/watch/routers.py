"""What the routers of a namespace need beside their configuration → the API server."""

import asyncio
from collections.abc import Awaitable, Callable

from turnout.apply.objects import Applier
from turnout.errors import ClusterError
from turnout.infra.objects import router_objects
from turnout.watch.context import Context, pod_bootstrap

LOOK_S = 0.05
"""Seconds between two looks at whether something is more urgent than to wait for objects."""


class RouterObjects:
    """Writes all of it, beside whatever else is done: a webhook may take its ten seconds for each object, and the
    routers that run must learn of revoked keys meanwhile.
    """

    def __init__(self, context: Context, namespace: str, applier: Applier) -> None:
        self._context, self._namespace, self._applier = context, namespace, applier
        self._task: asyncio.Task[ClusterError | None] | None = None
        self._error: ClusterError | None = None

    def begin(self) -> None:
        """Write them, unless that is under way: what they shall be does not change as long as we run."""
        self._task = self._task or asyncio.create_task(self._write())

    async def error(self, interrupted: Callable[[], bool]) -> ClusterError | None:
        """Why one could not be written; None: all are as they should be. If something is more urgent than to wait for
        that: as it was the last time.
        """
        while self._task is not None and not self._task.done() and not interrupted():
            await asyncio.wait({self._task}, timeout=LOOK_S)
        if self._task is not None and self._task.done():
            self._error, self._task = self._task.result(), None
        return self._error

    async def end(self) -> None:
        """Nothing is written any more."""
        await self.error(lambda: False)
        self._error = None

    async def _write(self) -> ClusterError | None:
        """One that is refused (a policy of the cluster may forbid the next Deployment, say) stops no other."""
        settings = self._context.settings
        *others, deployment = router_objects(
            self._namespace,
            settings.router,
            bootstrap=pod_bootstrap(self._namespace, settings),
            wasm=self._context.wasm,
            own_namespace=settings.own_namespace,
        )
        errors = await asyncio.gather(*(tried(self._applier.apply(one)) for one in others))
        last = await tried(self._applier.apply_deployment(deployment, replicas=settings.router.replicas))
        return next((error for error in (*errors, last) if error), None)


async def tried(act: Awaitable[bool]) -> ClusterError | None:
    """Why it could not be done; None: it was."""
    try:
        await act
    except ClusterError as error:
        return error
    return None
