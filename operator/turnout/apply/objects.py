"""Desired objects → the API server, only where they differ from what is there."""

from collections.abc import Callable

from turnout.apply.kube import Kube
from turnout.errors import ConflictError
from turnout.infra.kinds import DEPLOYMENT
from turnout.infra.labels import Json
from turnout.infra.objects import initial
from turnout.infra.ownership import differs, released_replicas, stamped

Live = Callable[[Json], Json | None]

TRIES = 5
"""Times that giving up replicas is tried: right after its creation a Deployment changes at once, by its controller."""


class Applier:
    """Applies objects of one namespace, and remembers what the API server made of them.

    Memory is for what the comparison cannot know, such as a quantity that the API server writes in another way: an
    object that was applied and has not changed since is not applied again.
    """

    def __init__(self, kube: Kube, live: Live) -> None:
        """live: the object as it is known now, if it is."""
        self._kube = kube
        self._live = live
        self._applied: dict[tuple[str, str, str], tuple[Json, str]] = {}

    async def apply(self, desired: Json) -> bool:
        """Make the object so; True if that took a write. Raises ClusterError."""
        wanted = stamped(desired)
        live = self._live(wanted)
        name = (wanted["kind"], wanted["metadata"]["namespace"], wanted["metadata"]["name"])
        if live is not None and self._applied.get(name) == (wanted, live["metadata"]["resourceVersion"]):
            return False
        if not differs(wanted, live):
            return False
        after = await self._kube.apply(wanted)
        self._applied[name] = (wanted, after["metadata"]["resourceVersion"])
        return True

    async def apply_deployment(self, desired: Json, *, replicas: int) -> bool:
        """Like apply; a Deployment that is not there yet is created with replicas, which then belong to nobody.

        They are given up in a second step, because applying without them would put them back to 1 as long as they are
        ours. It comes before anything else also when the step was missed because the operator died in between.
        """
        live = self._live(desired)
        created = live is None
        if live is None:
            live = await self._kube.apply(initial(stamped(desired), replicas))
        await self._release_replicas(live)
        return await self.apply(desired) or created

    async def _release_replicas(self, live: Json | None) -> None:
        for attempt in range(TRIES):
            free = released_replicas(live) if live else None
            if live is None or free is None:
                return
            try:
                await self._kube.set_managed_fields(live, free)
            except ConflictError:
                if attempt == TRIES - 1:
                    raise
                live = await self._kube.get(DEPLOYMENT, live["metadata"]["namespace"], live["metadata"]["name"])
            else:
                return
