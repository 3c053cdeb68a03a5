"""`turnout keys` on a cluster: keys as the API server has them, changed with the rights of whoever calls it."""

from collections.abc import Mapping

from turnout.apply.kube import Kube
from turnout.infra.kinds import SCOPED_KEY
from turnout.infra.labels import Json


class ClusterKeys:
    """The ScopedKeys of one namespace. Every method raises ClusterError if the API server does not do it."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace

    async def objects(self) -> list[Json]:
        """All of them, by name."""
        found = await self._kube.list_all(SCOPED_KEY, self._namespace)
        return sorted(found.items, key=lambda obj: str(obj["metadata"]["name"]))

    async def change(self, name: str, fields: Mapping[tuple[str, ...], str | bool]) -> None:
        """Set fields of a key's spec, and nothing else."""
        spec: Json = {}
        for path, value in fields.items():
            place = spec
            for word in path[:-1]:
                place = place.setdefault(word, {})
            place[path[-1]] = value
        await self._kube.merge(SCOPED_KEY, self._namespace, name, {"spec": spec}, manager="turnout-keys")
