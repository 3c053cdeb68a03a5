"""What the routers of a namespace need beside their configuration → the API server."""

import asyncio
from collections.abc import Awaitable

from turnout.apply.objects import Applier
from turnout.errors import ClusterError
from turnout.infra.objects import router_objects
from turnout.watch.context import Context, pod_bootstrap


async def write_objects(context: Context, namespace: str, applier: Applier) -> ClusterError | None:
    """Write all of it; why an object could not be written, None: all are as they should be.

    One that is refused (a policy of the cluster may forbid the next Deployment, say) stops nothing: the routers that
    run must learn of revoked keys all the same.
    """
    *others, deployment = router_objects(
        namespace,
        context.settings.router,
        bootstrap=pod_bootstrap(namespace, context.settings),
        wasm=context.wasm,
        own_namespace=context.settings.own_namespace,
    )
    errors = await asyncio.gather(*(tried(applier.apply(one)) for one in others))
    last = await tried(applier.apply_deployment(deployment, replicas=context.settings.router.replicas))
    return next((error for error in (*errors, last) if error), None)


async def tried(act: Awaitable[bool]) -> ClusterError | None:
    """Why it could not be done; None: it was."""
    try:
        await act
    except ClusterError as error:
        return error
    return None
