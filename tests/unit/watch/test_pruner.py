"""What is tidied up, and what is left to whoever it belongs to."""

from types import SimpleNamespace
from typing import Any

import pytest

from harness.manifests import key, snapshot
from turnout.decide.build import decide
from turnout.infra.kinds import SCOPED_KEY, SECRET
from turnout.infra.labels import COPY_OF, OURS
from turnout.settings import Settings
from turnout.watch.context import now
from turnout.watch.pruner import Pruner
from turnout.watch.store import Store


class Cluster:
    """A store, and an API server that deletes what it is told to. deleted: names."""

    def __init__(self) -> None:
        self.store, self.deleted = Store(lambda _namespace, _urgent: None), list[str]()

    async def delete(self, obj: dict[str, Any]) -> None:
        """As the API server does it."""
        self.deleted.append(obj["metadata"]["name"])


def stored(name: str, namespace: str, **meta: Any) -> dict[str, Any]:
    """An object as the API server returns it."""
    return {"metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1", **meta}}


@pytest.mark.parametrize(("served", "deleted"), [("", ["of-a-gone-one"]), ("ai", [])], ids=["all", "only ai"])
async def test_only_copies_of_keys_that_can_be_seen_to_be_gone_are_deleted(served: str, deleted: list[str]) -> None:
    """An operator of one namespace sees no keys of others: their copies here are those operators' business."""
    cluster = Cluster()
    cluster.store.put(SCOPED_KEY, stored("billing", "apps"))
    for name, source in (("of-a-key", "apps/billing"), ("of-a-gone-one", "apps/gone")):
        cluster.store.put(SECRET, stored(name, "ai", labels=OURS, annotations={COPY_OF: source}))
    context: Any = SimpleNamespace(kube=cluster, store=cluster.store, settings=Settings(namespace=served))
    await Pruner(context, "ai").prune_consumers(decide(snapshot(key("app")), None, now=now()), frozenset())
    assert cluster.deleted == deleted
