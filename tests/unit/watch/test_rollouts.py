"""What is told of decisions: an Event, a line of JSON, a metric, each once; and what a new operator tells again."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from harness.manifests import rollout
from turnout.api import CanaryRollout
from turnout.api.canaryrollout_status import Action, RolloutPhase
from turnout.decide.canary.standing import Change
from turnout.decide.canary.state import State
from turnout.decide.snapshot import Snapshot
from turnout.errors import ClusterError, ConflictError, DeniedError
from turnout.infra.kinds import CANARY_ROLLOUT
from turnout.infra.rollout_status import rollout_fields
from turnout.observe.logs import JsonLines
from turnout.observe.metrics import Metrics
from turnout.watch.context import now
from turnout.watch.rollouts import Rollouts
from turnout.watch.store import Store

SPEC = {"modelGroup": "assistant", "model": "new", "steps": [{"weight": 5, "hold": "1h"}, {"weight": 100}]}


def started(minutes_ago: int = 0) -> State:
    """A rollout that has made one decision."""
    at = now().replace(microsecond=0) - timedelta(minutes=minutes_ago)
    state = State(RolloutPhase.PROGRESSING, "Applying", "It starts.", step=1, weight=5, run="r1", runs=1)
    return state.decided(Action.START, "Started", "The rollout starts: 5 %.", at)


class Cluster:
    """An API server for Events, and a store with one rollout. refuses: what the next ones are answered."""

    def __init__(self, state: State | None = None) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.refuses: list[ClusterError] = []
        self.store = Store(lambda _namespace, _urgent: None)
        self.metrics = Metrics()
        self.put("uid-1", state)

    def put(self, uid: str, state: State | None, version: int = 1) -> None:
        """The rollout as the API server has it."""
        manifest = rollout("r", **SPEC)
        status = rollout_fields(CanaryRollout.parse(manifest), state) if state else {}
        meta = {**manifest["metadata"], "uid": uid, "generation": 1, "resourceVersion": str(version)}
        self.store.put(CANARY_ROLLOUT, {**manifest, "metadata": meta, "status": status})

    async def create_event(self, event: dict[str, Any]) -> None:
        """As Kube does it."""
        if self.refuses:
            raise self.refuses.pop(0)
        name = event["metadata"]["name"]
        if name in self.events:
            raise ConflictError(name)
        self.events[name] = event

    @property
    def live(self) -> dict[str, Any]:
        """The rollout."""
        found = self.store.get("ai", CANARY_ROLLOUT, "r")
        assert found is not None
        return found

    def rollouts(self) -> Rollouts:
        """A new operator's."""
        return Rollouts(SimpleNamespace(kube=self, store=self.store, metrics=self.metrics), "ai")  # type: ignore[arg-type]


def told(cluster: Cluster) -> list[tuple[str, str]]:
    """Reason and type of each Event."""
    return [(e["reason"], e["type"]) for e in cluster.events.values()]


def test_a_decision_is_told_three_ways_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often its status is written."""
    cluster, state = Cluster(), started()
    rollouts = cluster.rollouts()
    with caplog.at_level(logging.INFO, "turnout"):
        for _ in range(2):
            rollouts.kept(cluster.live, state)
            asyncio.run(rollouts.send_events())
    assert told(cluster) == [("Start", "Normal")]
    [event] = cluster.events.values()
    assert (event["involvedObject"]["uid"], event["message"]) == ("uid-1", "The rollout starts: 5 %.")
    [line] = [json.loads(JsonLines().format(record)) for record in caplog.records]
    decision = line["decision"]
    assert (decision["rollout"], decision["action"], decision["weight"]) == ("r", "Start", 5)
    labels = {"namespace": "ai", "rollout": "r", "action": "Start", "reason": "Started"}
    assert cluster.metrics.registry.get_sample_value("turnout_rollout_decisions_total", labels) == 1


def test_a_rollback_is_a_warning() -> None:
    """For kubectl, and for whoever filters."""
    cluster = Cluster()
    back = replace(started(), step=0, weight=0).decided(Action.ROLLBACK, "Breach", "Too many errors.", now(), left=1)
    rollouts = cluster.rollouts()
    rollouts.kept(cluster.live, back)
    asyncio.run(rollouts.send_events())
    assert told(cluster) == [("Start", "Normal"), ("Rollback", "Warning")]


def test_a_fall_is_told_when_routers_are_told_and_its_event_after_its_status_was_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That may be refused for ever. An Event before it would be a second one, if the operator died in between."""
    cluster = Cluster(started(minutes_ago=60))
    rollouts = cluster.rollouts()
    back = replace(started(), step=0, weight=0).decided(Action.ROLLBACK, "Breach", "Too many errors.", now(), left=1)
    rollouts.standing.now["r"] = back
    labels = {"namespace": "ai", "rollout": "r", "action": "Rollback", "reason": "Breach"}

    def counted() -> float | None:
        return cluster.metrics.registry.get_sample_value("turnout_rollout_decisions_total", labels)

    rollouts.published(rollouts.standing.publishable)
    assert counted() == 1
    assert "rollout r: Breach" in caplog.text
    asyncio.run(rollouts.send_events())
    assert told(cluster) == []
    assert rollouts.tellable()["r"] == back
    asyncio.run(rollouts.send_events())
    assert told(cluster) == [("Start", "Normal"), ("Rollback", "Warning")]
    rollouts.kept(cluster.live, back)
    asyncio.run(rollouts.send_events())
    assert (counted(), len(cluster.events)) == (1, 2)


def test_events_wait_for_an_api_server_and_not_for_rights() -> None:
    """What is denied would be denied again."""
    cluster = Cluster()
    rollouts = cluster.rollouts()
    rollouts.kept(cluster.live, started())
    cluster.refuses = [ClusterError("down")]
    asyncio.run(rollouts.send_events())
    assert told(cluster) == []
    asyncio.run(rollouts.send_events())
    assert told(cluster) == [("Start", "Normal")]
    denied = Cluster()
    rollouts = denied.rollouts()
    rollouts.kept(denied.live, started())
    denied.refuses = [DeniedError("no right")]
    asyncio.run(rollouts.send_events())
    asyncio.run(rollouts.send_events())
    assert told(denied) == []


def test_a_new_operator_tells_young_decisions_again_and_old_ones_not() -> None:
    """The last one may have died in between; an Event that is there already is no second one."""
    cluster = Cluster(started())
    for _ in range(2):
        asyncio.run(cluster.rollouts().send_events())
    assert told(cluster) == [("Start", "Normal")]
    old = Cluster(started(minutes_ago=60))
    asyncio.run(old.rollouts().send_events())
    assert told(old) == []


def test_a_rollout_that_was_made_anew_is_another_one() -> None:
    """Of the same name: it begins as its own status says."""
    cluster = Cluster(started())
    rollouts = cluster.rollouts()
    assert rollouts.standing.now["r"].weight == 5
    assert rollouts.standing.now["r"].measuring
    cluster.put("uid-2", None, version=2)
    rollouts.follow()
    assert rollouts.standing.now["r"] == State()


def test_what_was_kept_of_the_one_before_says_nothing_of_the_one_made_anew() -> None:
    """The answer to a write may come after both events; routers would be told the old weight again."""
    cluster = Cluster(started())
    rollouts, old = cluster.rollouts(), cluster.live
    cluster.put("uid-2", None, version=2)
    rollouts.follow()
    rollouts.kept(old, replace(started(), weight=50))
    rollouts.standing.now["r"] = replace(State(), step=1, weight=5, run="r2")
    assert rollouts.standing.publishable["r"] == State()
    asyncio.run(rollouts.send_events())
    assert told(cluster) == [("Start", "Normal")], "of the old one, which was young"


def test_a_bug_in_a_decision_leaves_rollouts_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker goes on: keys whose budget is used up, or which are revoked, must be refused all the same."""

    def broken(*_: object, **__: object) -> dict[str, State]:
        raise ZeroDivisionError

    monkeypatch.setattr("turnout.decide.canary.standing.advanced", broken)
    rollouts = Cluster(started()).rollouts()
    before = dict(rollouts.standing.now)
    assert rollouts.advance(Snapshot("ai"), (), None, None) is Change.FIGURES
    assert rollouts.standing.now == before
    assert "namespace ai: rollouts stay as they are: a bug" in caplog.text
