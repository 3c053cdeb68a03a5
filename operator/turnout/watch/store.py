"""Events and listings → what the cluster holds now, by namespace. No I/O; everything happens in one event loop.

Events may be late, double or missing; a listing is the truth, but it may be older than an event that came while it was
taken. So the resourceVersion decides: it grows with every write (Kubernetes promises since 1.35 that versions compare;
etcd's always could).
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from turnout.apply.kube import Listing
from turnout.infra.consumer import copy_of
from turnout.infra.kinds import POD, RESOURCES, SCOPED_KEY, SECRET, WATCHED, Kind
from turnout.infra.labels import Json, is_ours
from turnout.infra.pods import ready_pods

Wake = Callable[[str, bool], None]
Objects = Mapping[str, Json]


class Store:
    """What is known of the cluster.

    Attributes:
        complete: set when every kind was listed once. Before, a namespace may look emptier than it is.
    """

    def __init__(self, wake: Wake) -> None:
        """wake(namespace, urgent) is called when something changed that a router or a status may depend on."""
        self._wake = wake
        self._objects: dict[str, dict[Kind, dict[str, Json]]] = defaultdict(lambda: defaultdict(dict))
        self._graves: dict[tuple[Kind, str, str], int] = {}
        self._listed: set[Kind] = set()
        self._in_flight: Counter[tuple[Kind, str, str]] = Counter()
        self.complete = asyncio.Event()

    def put(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        """An object as it is now, or was: something older than what is known changes nothing."""
        meta = obj["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        known = self._objects[namespace][kind].get(name)
        at_least = max(_version(known) if known else -1, self._graves.get((kind, namespace, name), -1))
        if _version(obj) <= at_least:
            return
        self._objects[namespace][kind][name] = {"apiVersion": kind.api_version, "kind": kind.name, **obj}
        # Users' objects always count: we only write their status, and meanwhile they may change the rest.
        ours = kind not in RESOURCES and self._in_flight[kind, namespace, name]
        if not ours and (known is None or _essence(kind, known) != _essence(kind, obj)):
            self._changed(kind, namespace, urgent=kind == SCOPED_KEY and _kills(obj))
            self._copy_changed(kind, known or obj)

    def drop(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        """An object that was deleted, as it was last."""
        meta = obj["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        self._graves[kind, namespace, name] = _version(obj)
        known = self._objects[namespace][kind].get(name)
        if known is not None and _version(known) <= _version(obj):
            del self._objects[namespace][kind][name]
            # A deleted key must be refused within two seconds, however busy the namespace is.
            self._changed(kind, namespace, urgent=kind == SCOPED_KEY)
            self._copy_changed(kind, obj)

    def begins(self, kind: Kind, namespace: str, name: str) -> None:
        """A write of ours begins: what it does to the object is no news."""
        self._in_flight[kind, namespace, name] += 1

    def ends(self, kind: Kind, namespace: str, name: str, after: Json | None) -> None:
        """It is over; after: the object as it left it, None if it failed."""
        if after is not None:
            self.put(kind, after)
        self._in_flight[kind, namespace, name] -= 1
        if not self._in_flight[kind, namespace, name]:
            del self._in_flight[kind, namespace, name]
        known = self.get(namespace, kind, name)
        if after is not None and known is not None and _essence(kind, known) != _essence(kind, after):
            self._changed(kind, namespace, urgent=False)  # somebody else has written since

    def replace(self, kind: Kind, listing: Listing) -> None:
        """All objects of a kind: what is not among them and is not newer than the listing is gone."""
        for obj in listing.items:
            self.put(kind, obj)
        present = {(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in listing.items}
        for namespace in list(self._objects):
            for name, obj in list(self._objects[namespace][kind].items()):
                if (namespace, name) not in present and _version(obj) <= listing.resource_version:
                    del self._objects[namespace][kind][name]
                    self._changed(kind, namespace, urgent=kind == SCOPED_KEY)
        self._graves = {g: v for g, v in self._graves.items() if g[0] != kind or v > listing.resource_version}
        self._listed.add(kind)
        if self._listed.issuperset(WATCHED):
            self.complete.set()

    def objects(self, namespace: str, kind: Kind) -> Objects:
        """Objects of a kind in a namespace, by name."""
        return self._objects[namespace][kind] if namespace in self._objects else {}

    def get(self, namespace: str, kind: Kind, name: str) -> Json | None:
        """One object, or None."""
        return self.objects(namespace, kind).get(name)

    def secret(self, namespace: str, name: str) -> Json | None:
        """One Secret, or None."""
        return self.get(namespace, SECRET, name)

    def everywhere(self, kind: Kind) -> list[Json]:
        """Objects of a kind in all namespaces."""
        return [obj for kinds in self._objects.values() for obj in kinds[kind].values()]

    def concerns_us(self, namespace: str) -> bool:
        """Whether a namespace holds anything that users wrote for us, or that we wrote."""
        return any(self._ours(namespace))

    def namespaces(self) -> tuple[str, ...]:
        """All namespaces that concern us, sorted."""
        return tuple(sorted(filter(self.concerns_us, list(self._objects))))

    def _ours(self, namespace: str) -> Iterable[bool]:
        yield from (bool(self.objects(namespace, kind)) for kind in WATCHED if kind != SECRET)
        yield from (is_ours(secret) for secret in self.objects(namespace, SECRET).values())

    def _copy_changed(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        source = copy_of(obj) if kind == SECRET else None
        if source is not None:
            self._wake(source[0], False)

    def _changed(self, kind: Kind, namespace: str, *, urgent: bool) -> None:
        if kind in RESOURCES or self.concerns_us(namespace):
            self._wake(namespace, urgent)


def _version(obj: Mapping[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _kills(key: Mapping[str, Any]) -> bool:
    """Whether a ScopedKey may say that tokens must die at once, however busy the namespace is."""
    spec = key.get("spec", {})
    emergency = (spec.get("rotation") or {}).get("emergency")
    return bool(spec.get("revoked") or emergency) or "deletionTimestamp" in key["metadata"]


def _essence(kind: Kind, obj: Mapping[str, Any]) -> Any:
    """What of an object matters: without it every write of a status would wake the loop that wrote it."""
    meta = obj["metadata"]
    if kind in RESOURCES:
        return meta["uid"], meta.get("generation"), "deletionTimestamp" in meta
    if kind == POD:
        return ready_pods([obj])
    rest = {name: value for name, value in obj.items() if name not in ("metadata", "status", "apiVersion", "kind")}
    return rest, meta["uid"], meta.get("labels"), meta.get("annotations"), meta.get("ownerReferences")
