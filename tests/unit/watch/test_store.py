"""The store: events and listings in any order end in what the cluster holds, and wake only for what matters."""

import itertools
from typing import Any

from turnout.apply.kube import Listing
from turnout.infra.kinds import CONFIG_MAP, MODEL_GROUP, POD, SCOPED_KEY, SECRET, WATCHED
from turnout.infra.labels import OURS
from turnout.watch.store import Store


class Woken(list[tuple[str, bool]]):
    """Keeps the wake-ups."""

    def __call__(self, namespace: str, urgent: bool) -> None:
        """The store's way to call."""
        self.append((namespace, urgent))


def obj(name: str, version: int, *, generation: int = 1, **more: Any) -> dict[str, Any]:
    """An object of namespace ai."""
    meta = {"namespace": "ai", "name": name, "uid": name, "resourceVersion": str(version), "generation": generation}
    return {"metadata": {**meta, **more.pop("metadata", {})}, "spec": {}, **more}


def names(store: Store) -> set[str]:
    """The ScopedKeys in the store."""
    return set(store.objects("ai", SCOPED_KEY))


def test_any_order_of_events_and_a_listing_ends_the_same() -> None:
    """Older news never undo newer ones, and a deletion is not undone by a listing from before it."""
    steps = {
        "list": lambda s: s.replace(SCOPED_KEY, Listing([obj("kept", 1), obj("deleted", 2)], 5)),
        "new": lambda s: s.put(SCOPED_KEY, obj("new", 7)),
        "deleted": lambda s: s.drop(SCOPED_KEY, obj("deleted", 6)),
        "late": lambda s: s.put(SCOPED_KEY, obj("deleted", 2)),
    }
    for order in itertools.permutations(steps):
        store = Store(Woken())
        for step in order:
            steps[step](store)
        assert names(store) == {"kept", "new"}, order


def test_a_listing_notices_a_deletion_that_no_event_told() -> None:
    """A key that vanished in a gap of the watch must not go on working; and it is urgent."""
    woken = Woken()
    store = Store(woken)
    store.put(SCOPED_KEY, obj("gone", 3))
    store.replace(SCOPED_KEY, Listing([], 5))
    assert names(store) == set()
    assert woken[-1] == ("ai", True)


def test_it_is_complete_after_every_kind_was_listed() -> None:
    """Not one kind earlier."""
    store = Store(Woken())
    for kind in WATCHED:
        assert not store.complete.is_set()
        store.replace(kind, Listing([], 1))
    assert store.complete.is_set()


def test_a_status_wakes_nobody() -> None:
    """Or every write of a status would cause the next run; a new generation does wake."""
    woken = Woken()
    store = Store(woken)
    store.put(MODEL_GROUP, obj("g", 1))
    store.put(MODEL_GROUP, obj("g", 2, status={"x": 1}))
    assert len(woken) == 1
    store.put(MODEL_GROUP, obj("g", 3, generation=2))
    assert len(woken) == 2


def test_a_key_whose_tokens_must_die_is_urgent() -> None:
    """They must be refused within two seconds, however busy the namespace is."""
    woken = Woken()
    store = Store(woken)
    store.put(SCOPED_KEY, obj("k", 1))
    store.put(SCOPED_KEY, {**obj("k", 2, generation=2), "spec": {"revoked": True}})
    store.put(SCOPED_KEY, {**obj("k", 3, generation=3), "spec": {"rotation": {"trigger": "x"}}})
    store.put(SCOPED_KEY, {**obj("k", 4, generation=4), "spec": {"rotation": {"trigger": "y", "emergency": True}}})
    held = obj("k", 5, generation=4)
    held["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z"
    store.put(SCOPED_KEY, held)
    store.drop(SCOPED_KEY, obj("k", 6))
    assert [urgent for _, urgent in woken] == [False, True, False, True, True, True]


def test_a_secret_of_a_namespace_without_us_wakes_nobody() -> None:
    """Most namespaces of a cluster are no concern; with a ModelGroup they are."""
    woken = Woken()
    store = Store(woken)
    store.put(SECRET, obj("s", 1, data={"a": "1"}))
    assert (list(woken), store.namespaces()) == ([], ())
    store.put(MODEL_GROUP, obj("g", 2))
    store.put(SECRET, obj("s", 3, data={"a": "2"}))
    assert (len(woken), store.namespaces()) == (2, ("ai",))


def test_a_pod_wakes_when_it_becomes_ready() -> None:
    """Not with every other change of its status."""
    woken = Woken()
    store = Store(woken)
    labels = {"labels": OURS}
    ready = {"podIP": "1.2.3.4", "conditions": [{"type": "Ready", "status": "True"}]}
    store.put(POD, obj("p", 1, metadata=labels, status={}))
    store.put(POD, obj("p", 2, metadata=labels, status={"phase": "Running"}))
    assert len(woken) == 1
    store.put(POD, obj("p", 3, metadata=labels, status=ready))
    assert len(woken) == 2


def test_a_write_of_ours_wakes_nobody_even_if_its_event_comes_first() -> None:
    """The event of a write often overtakes the answer to it."""
    woken = Woken()
    store = Store(woken)
    after = obj("c", 5, metadata={"labels": OURS}, data={"a": "1"})
    store.begins(CONFIG_MAP, "ai", "c")
    store.put(CONFIG_MAP, after)
    store.ends(CONFIG_MAP, "ai", "c", after)
    assert list(woken) == []
    store.put(CONFIG_MAP, obj("c", 6, metadata={"labels": OURS}, data={"a": "2"}))
    assert len(woken) == 1


def test_somebody_elses_write_during_ours_is_noticed() -> None:
    """It came after ours, so ours is no longer what is there."""
    woken = Woken()
    store = Store(woken)
    store.begins(CONFIG_MAP, "ai", "c")
    store.put(CONFIG_MAP, obj("c", 6, metadata={"labels": OURS}, data={"a": "theirs"}))
    store.ends(CONFIG_MAP, "ai", "c", obj("c", 5, metadata={"labels": OURS}, data={"a": "ours"}))
    assert len(woken) == 1
