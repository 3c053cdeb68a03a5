"""Applying only what differs, and giving up replicas, against an API server in memory."""

import copy
from typing import Any, cast

from turnout.apply.kube import Kube
from turnout.apply.objects import Applier
from turnout.errors import ConflictError
from turnout.infra.objects import router_objects, secret
from turnout.infra.options import RouterOptions

SECRET = secret("ai", "s", {"a": b"1"})
DEPLOYMENT = router_objects("ai", RouterOptions(), bootstrap=b"b", wasm=b"w", own_namespace="s")[-1]


class Cluster:
    """One object, kept as it is applied. spell: what the server makes of a value."""

    def __init__(self) -> None:
        self.live: dict[str, Any] | None = None
        self.writes = 0
        self.conflicts = 0
        self.spell: dict[str, Any] = {}

    async def apply(self, obj: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Server-side apply by a single manager."""
        fields = {"f:spec": {"f:replicas": {}} if "replicas" in obj.get("spec", {}) else {}}
        keep = (self.live or {}).get("spec", {}).get("replicas")
        self.live = self._stored(copy.deepcopy(obj) | self.spell)
        if keep and "replicas" not in self.live["spec"]:
            self.live["spec"]["replicas"] = keep
        self.live["metadata"]["managedFields"] = [{"manager": "turnout", "fieldsV1": fields}]
        return self.live

    async def set_managed_fields(self, obj: dict[str, Any], fields: list[Any]) -> dict[str, Any]:
        """Refuses an object that has changed meanwhile."""
        if self.conflicts:
            self.conflicts -= 1
            raise ConflictError("changed")
        self.live = self._stored(copy.deepcopy(obj))
        self.live["metadata"]["managedFields"] = fields
        return self.live

    async def get(self, *_: Any) -> dict[str, Any] | None:
        """The object as it is."""
        return self.live

    def _stored(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        obj["metadata"]["resourceVersion"] = str(self.writes)
        return obj


def applier_of(cluster: Cluster) -> Applier:
    """An operator that starts."""
    return Applier(cast("Kube", cluster), lambda _: cluster.live)


async def test_an_object_is_written_once() -> None:
    """Also by the operator that comes after."""
    cluster = Cluster()
    assert await applier_of(cluster).apply(SECRET)
    assert not await applier_of(cluster).apply(SECRET)
    assert cluster.writes == 1


async def test_a_dropped_entry_is_a_write() -> None:
    """Less data is other data."""
    cluster = Cluster()
    await applier_of(cluster).apply(secret("ai", "s", {"a": b"1", "b": b"2"}))
    assert await applier_of(cluster).apply(SECRET)


async def test_a_value_that_the_server_spells_otherwise_is_not_written_again_and_again() -> None:
    """Once per change of the object, by a running operator."""
    cluster = Cluster()
    cluster.spell = {"type": "other"}
    applier = applier_of(cluster)
    assert [await applier.apply(SECRET) for _ in range(3)] == [True, False, False]


async def test_replicas_are_given_up_after_creation() -> None:
    """Created with two, owned by nobody, and what a person sets stays."""
    cluster = Cluster()
    cluster.conflicts = 2
    await applier_of(cluster).apply_deployment(DEPLOYMENT, replicas=2)
    assert cluster.live is not None
    assert cluster.live["spec"]["replicas"] == 2
    assert cluster.live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] == {}
    cluster.live["spec"]["replicas"] = 5
    writes = cluster.writes
    assert not await applier_of(cluster).apply_deployment(DEPLOYMENT, replicas=2)
    assert cluster.writes == writes


async def test_replicas_are_given_up_by_the_next_operator_if_need_be() -> None:
    """The first one died between creation and giving up: applying must not put them back to one."""
    cluster = Cluster()
    cluster.conflicts = 99
    try:
        await applier_of(cluster).apply_deployment(DEPLOYMENT, replicas=2)
    except ConflictError:
        cluster.conflicts = 0
    await applier_of(cluster).apply_deployment(DEPLOYMENT, replicas=2)
    assert cluster.live is not None
    assert cluster.live["spec"]["replicas"] == 2
    assert cluster.live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] == {}
