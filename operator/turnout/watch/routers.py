"""What the routers of a namespace are made of → the API server."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from turnout.apply.objects import Applier
from turnout.errors import ClusterError
from turnout.infra.objects import files_secret, router_objects
from turnout.watch.context import Context, pod_bootstrap


@dataclass(frozen=True)
class Written:
    """What came of it.

    Attributes:
        files: the configuration is a new one.
        error: why another object could not be written; None: all are as they should be.
    """

    files: bool
    error: ClusterError | None = None


async def write(context: Context, namespace: str, applier: Applier, files: Mapping[str, bytes]) -> Written:
    """Write the routers' configuration, and all that they need to run.

    Of the latter one that is refused (a policy of the cluster may forbid the next Deployment, say) stops nothing: the
    routers that run must learn of revoked keys all the same. Raises ClusterError if the configuration is.
    """
    *others, deployment = router_objects(
        namespace,
        context.settings.router,
        bootstrap=pod_bootstrap(namespace, context.settings),
        wasm=context.wasm,
        own_namespace=context.settings.own_namespace,
    )
    configuration = applier.apply(files_secret(namespace, files))
    written, *errors = await asyncio.gather(configuration, *(tried(applier.apply(one)) for one in others))
    errors.append(await tried(applier.apply_deployment(deployment, replicas=context.settings.router.replicas)))
    return Written(bool(written), next((error for error in errors if isinstance(error, ClusterError)), None))


async def tried(act: Awaitable[bool]) -> ClusterError | None:
    """Why it could not be done; None: it was."""
    try:
        await act
    except ClusterError as error:
        return error
    return None
