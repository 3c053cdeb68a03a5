"""Snapshots out of the store."""

import base64
from datetime import UTC, datetime
from typing import Any

from harness.manifests import group, key, model, rollout
from turnout.decide.build import decide
from turnout.decide.usage import Ledger
from turnout.infra.kinds import CANARY_ROLLOUT, MODEL_GROUP, SCOPED_KEY, SECRET
from turnout.infra.labels import OURS
from turnout.watch.gather import Gatherer
from turnout.watch.store import Store

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def stored(manifest: dict[str, Any], **meta: Any) -> dict[str, Any]:
    """A manifest as the API server returns it, with metadata that is not ours to judge."""
    name = manifest["metadata"]["name"]
    extra = {"uid": name, "resourceVersion": "1", "generation": 1, "managedFields": [{"manager": "x"}], "newField": 1}
    return {**manifest, "metadata": {**manifest["metadata"], **extra, **meta}, "status": {"no": "sense"}}


def secret(name: str, value: str, **labels: str) -> dict[str, Any]:
    """A Secret in the namespace ai."""
    meta = {"name": name, "namespace": "ai", "uid": name, "resourceVersion": "1", "labels": labels}
    return {"metadata": meta, "data": {"api-key": base64.b64encode(value.encode()).decode()}}


def gathered(*objects: tuple[Any, dict[str, Any]]) -> Gatherer:
    """A gatherer over these objects."""
    store = Store(lambda _namespace, _urgent: None)
    for kind, obj in objects:
        store.put(kind, obj)
    return Gatherer(store, "ai")


def test_objects_are_read_and_broken_ones_are_told_apart() -> None:
    """One that cannot be parsed says why; whatever metadata or status hold does no harm."""
    broken = stored(key("broken"))
    broken["spec"] = {"scopes": ["fly"], "modelGroups": ["*"]}
    gatherer = gathered(
        (MODEL_GROUP, stored(group("assistant", model("a", "http://a/v1")))),
        (SCOPED_KEY, stored(key("app"))),
        (SCOPED_KEY, broken),
    )
    snapshot = gatherer.snapshot(Ledger(), {})
    assert [g.metadata.name for g in snapshot.groups] == ["assistant"]
    assert [k.metadata.name for k in snapshot.keys] == ["app"]
    assert [(i.kind, i.name, i.uid) for i in snapshot.invalid] == [("ScopedKey", "broken", "broken")]
    assert snapshot.invalid[0].reason.startswith("spec.scopes[0] must be")


def test_the_oldest_rollout_has_a_group() -> None:
    """Not the first in the alphabet: a second one must not take what the first waits to begin with."""
    spec = {"modelGroup": "assistant", "model": "b", "steps": [{"weight": 100}]}
    gatherer = gathered(
        (MODEL_GROUP, stored(group("assistant", *(model(name, "http://a/v1") for name in ("a", "b"))))),
        (CANARY_ROLLOUT, stored(rollout("newer", **spec), creationTimestamp="2026-11-02T00:00:00Z")),
        (CANARY_ROLLOUT, stored(rollout("older", **spec), creationTimestamp="2026-11-01T00:00:00Z")),
    )
    verdicts = decide(gatherer.snapshot(Ledger(), {}), None, now=NOW).verdicts
    assert [v.name for v in verdicts if v.problem] == ["newer"]


def test_an_object_on_its_way_out_is_gone() -> None:
    """Somebody's finalizer must not keep a deleted key working."""
    gatherer = gathered((SCOPED_KEY, stored(key("app"), deletionTimestamp="2026-11-01T00:00:00Z")))
    assert gatherer.snapshot(Ledger(), {}).keys == ()


def test_secrets_are_material_but_for_our_own_files() -> None:
    """Names that are taken, reserved ones always among them; an issued key, or a copy of it, may be a credential."""
    gatherer = gathered(
        (SECRET, secret("theirs", "x")),
        (SECRET, secret("ours", "y", **OURS)),
        (SECRET, secret("turnout-router", "z", **OURS)),
    )
    snapshot = gatherer.snapshot(Ledger(), {})
    assert snapshot.secrets == {"theirs": {"api-key": b"x"}, "ours": {"api-key": b"y"}}
    assert snapshot.foreign_secrets == {"theirs", "turnout-router", "turnout-keyring", "turnout-state"}


def test_whose_a_secret_is_stands_in_it() -> None:
    """The key for which it was written, be it gone; nobody else's claim counts."""
    owner = {"apiVersion": "turnout.dev/v1alpha1", "kind": "ScopedKey", "name": "app", "uid": "u", "controller": True}
    ours, theirs = secret("ours", "y", **OURS), secret("theirs", "x")
    for obj in (ours, theirs):
        obj["metadata"]["ownerReferences"] = [owner]
    gatherer = gathered((SECRET, ours), (SECRET, theirs))
    assert gatherer.snapshot(Ledger(), {}).secret_owners == {"ours": "app"}


def test_an_object_is_parsed_once_per_generation() -> None:
    """A thousand keys are not read anew for every change of one."""
    gatherer = gathered((SCOPED_KEY, stored(key("app"))))
    assert gatherer.snapshot(Ledger(), {}).keys[0] is gatherer.snapshot(Ledger(), {}).keys[0]
