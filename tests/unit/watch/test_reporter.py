"""When statuses are written: at once when something happened, rarely when only figures moved."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from harness.manifests import group, key, model, running, snapshot
from turnout.api.canaryrollout_status import Action
from turnout.api.modelgroup_status import CircuitState
from turnout.decide.build import decide
from turnout.errors import ClusterError, DeniedError
from turnout.infra.kinds import BY_NAME
from turnout.infra.observation import GroupFigures, LaneState, ModelFigures, Observation, Programmed
from turnout.observe.metrics import Metrics
from turnout.settings import Settings
from turnout.watch.context import now
from turnout.watch.reporter import Outcome, Reporter
from turnout.watch.rollouts import Rollouts
from turnout.watch.store import Store

MANIFEST = group("assistant", model("a", "http://a/v1"))
ROLLOUT = running(5)
GROUP = group("assistant", model("one", "http://a/v1"), model("two", "http://b/v1"))
DECISION = decide(snapshot(MANIFEST), None, now=now())
LANE = LaneState(DECISION.router.groups[0].members[0].lane.id, CircuitState.CLOSED, warmed_ms=1_800_000_000_000)
OUTCOME = Outcome(DECISION, Programmed("f" * 64, 1, 1), {})


class Namespace:
    """A reporter with a store and an API server that takes everything.

    Attributes:
        models: status.models as often as written.
        refusal: why what keys have used cannot be kept; None: it can.
        kept: how often it was.
        refused: why the status of a group cannot be written; None: it can.
        events: reasons of Events.
    """

    def __init__(self, figures_s: float, *manifests: dict[str, Any]) -> None:
        self.models: list[dict[str, Any]] = []
        self.refusal: ClusterError | None = None
        self.kept = 0
        self.refused: ClusterError | None = None
        self.events: list[str] = []
        self._version = 0
        self.metrics = Metrics()
        self._store = Store(lambda _namespace, _urgent: None)
        settings = Settings(figures_s=figures_s)
        context = SimpleNamespace(kube=self, store=self._store, settings=settings, metrics=self.metrics)
        for manifest in manifests:
            self.put(manifest)
        self.rollouts = Rollouts(context, "ai")  # type: ignore[arg-type]
        self.reporter = Reporter(context, "ai", self, self.rollouts, lambda: None)  # type: ignore[arg-type]

    async def apply(self, obj: dict[str, Any], *, subresource: str) -> None:
        """As the API server does it."""
        assert subresource == "status"
        if obj["kind"] == "ModelGroup":
            if self.refused is not None:
                raise self.refused
            self.models.append(obj["status"]["models"][0])
        self.put({**self.get(obj["kind"], obj["metadata"]["name"]), "status": obj["status"]})

    async def create_event(self, event: dict[str, Any]) -> None:
        """As the API server does it."""
        self.events.append(event["reason"])

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object as it is."""
        found = self._store.get("ai", BY_NAME[kind], name)
        assert found is not None
        return dict(found)

    def put(self, manifest: dict[str, Any]) -> None:
        """An object as it is from now on."""
        self._version += 1
        meta = {"uid": "1", "generation": 1, **manifest["metadata"], "resourceVersion": str(self._version)}
        self._store.put(BY_NAME[manifest["kind"]], {**manifest, "metadata": meta})

    async def keep(self) -> None:
        """What keys have used."""
        if self.refusal is not None:
            raise self.refusal
        self.kept += 1

    async def sees(self, *lanes: LaneState, requests: int = 0) -> list[dict[str, Any]]:
        """A look at routers; what was written because of it."""
        before = len(self.models)
        figures = {"assistant": GroupFigures(models={"a": ModelFigures(Decimal(requests), error_rate=Decimal(0))})}
        self.reporter.observe(Observation(lanes, figures if requests else None))
        return await self.written_since(before)

    async def written_since(self, before: int) -> list[dict[str, Any]]:
        """What was written when nothing is left to do: nothing here ever waits for anything but the event loop."""
        for _ in range(50):
            await asyncio.sleep(0)
        return self.models[before:]


@contextlib.asynccontextmanager
async def reported(figures_s: float) -> AsyncIterator[Namespace]:
    """A namespace whose routers were looked at, and whose status has been written."""
    namespace = Namespace(figures_s, MANIFEST)
    task = asyncio.create_task(namespace.reporter.run())
    namespace.reporter.report(OUTCOME)
    try:
        await namespace.sees(LANE, requests=10)
        assert namespace.models[-1]["requestsPerMinute"] == "10"
        yield namespace
    finally:
        task.cancel()


async def test_figures_wait_and_circuits_do_not() -> None:
    """Whatever waited is written with the next change of a circuit."""
    async with reported(figures_s=3600) as namespace:
        assert await namespace.sees(LANE, requests=20) == []
        assert await namespace.sees(replace(LANE, warmed_ms=LANE.warmed_ms + 10_000), requests=30) == []
        (model,) = await namespace.sees(replace(LANE, circuit=CircuitState.OPEN), requests=40)
        assert (model["circuit"], model["health"], model["requestsPerMinute"]) == ("Open", 0, "40")
        (model,) = await namespace.sees(LANE, requests=50)
        assert (model["circuit"], model["health"]) == ("Closed", 100)


async def test_a_report_of_the_worker_brings_no_figures_forward() -> None:
    """It comes with every change of anything in the namespace."""
    async with reported(figures_s=3600) as namespace:
        await namespace.sees(LANE, requests=20)
        before = len(namespace.models)
        namespace.reporter.report(OUTCOME)
        assert await namespace.written_since(before) == []


async def test_a_failed_warm_up_is_told_at_once_and_its_words_are_not_repeated() -> None:
    """A provider may put the number of the request into them."""
    async with reported(figures_s=3600) as namespace:
        assert len(await namespace.sees(replace(LANE, warm_fault="request 1"), requests=10)) == 1
        assert await namespace.sees(replace(LANE, warm_fault="request 2"), requests=10) == []
        assert len(await namespace.sees(LANE, requests=10)) == 1


async def test_figures_that_are_due_are_written_only_when_they_differ() -> None:
    """Also warm-ups without any traffic."""
    async with reported(figures_s=1e-9) as namespace:
        assert [model["requestsPerMinute"] for model in await namespace.sees(LANE, requests=20)] == ["20"]
        assert await namespace.sees(LANE, requests=20) == []
        assert len(await namespace.sees(replace(LANE, warmed_ms=LANE.warmed_ms + 10_000), requests=20)) == 1


async def test_books_that_cannot_be_kept_keep_no_status_back(caplog: pytest.LogCaptureFixture) -> None:
    """The API server may refuse them for ever. It is told, and they are tried again with the next figures."""
    async with reported(figures_s=1e-9) as namespace:
        namespace.refusal = DeniedError("ConfigMap turnout-usage: 422 too large")
        assert [model["requestsPerMinute"] for model in await namespace.sees(LANE, requests=20)] == ["20"]
        assert "turnout-usage: 422 too large" in caplog.text
        assert [model["requestsPerMinute"] for model in await namespace.sees(LANE, requests=30)] == ["30"]
        namespace.refusal, kept = None, namespace.kept
        await namespace.sees(LANE, requests=30)
        assert namespace.kept == kept + 1, "they are still not kept, though nothing new was seen"


@contextlib.asynccontextmanager
async def rolling() -> AsyncIterator[Namespace]:
    """A namespace with a rollout that has just decided something, and a reporter that has nothing to do yet."""
    namespace = Namespace(3600, GROUP, ROLLOUT)
    standing = namespace.rollouts.standing
    standing.published(standing.publishable)
    standing.now["r"] = standing.now["r"].decided(Action.HOLD, "Paused", "It waits.", now())
    task = asyncio.create_task(namespace.reporter.run())
    try:
        yield namespace
    finally:
        task.cancel()


def outcome() -> Outcome:
    """Of that namespace."""
    return Outcome(decide(snapshot(GROUP, ROLLOUT), None, now=now()), Programmed("f" * 64, 1, 1), {})


async def test_events_do_not_wait_for_a_status_that_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """That may be for ever, and is some other object's."""
    async with rolling() as namespace:
        namespace.refused = DeniedError("modelgroups assistant: 422 Invalid")
        namespace.reporter.report(outcome())
        await namespace.written_since(0)
        assert namespace.events == ["Hold"]
        assert "422 Invalid" in caplog.text


async def test_figures_wait_though_a_status_is_refused() -> None:
    """Else all of them would be written at each look, and the books kept."""
    async with rolling() as namespace:
        namespace.refused = DeniedError("modelgroups assistant: 422 Invalid")
        namespace.reporter.report(outcome())
        for requests in (10, 20, 30):
            await namespace.sees(requests=requests)
        assert namespace.kept == 1


async def test_a_bug_in_one_status_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor any rise, which waits for its own to be kept."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("turnout.infra.status.group_status", broken)
    async with rolling() as namespace:
        namespace.reporter.report(outcome())
        await namespace.written_since(0)
        assert namespace.get("CanaryRollout", "r")["status"]["decisions"][0]["reason"] == "Paused"
        assert namespace.events == ["Hold"]
        assert "status of ModelGroup 'assistant': a bug" in caplog.text
        assert "ZeroDivisionError" in caplog.text


def made(manifest: dict[str, Any], uid: str) -> dict[str, Any]:
    """An object as it is when it was just made."""
    return {**{k: v for k, v in manifest.items() if k != "status"}, "metadata": {**manifest["metadata"], "uid": uid}}


@pytest.mark.parametrize("kind", ["ModelGroup", "ScopedKey", "CanaryRollout"])
async def test_an_object_that_was_made_anew_has_no_status_of_the_one_before(kind: str) -> None:
    """Of the same name: the rollout would go on where the old one stood, and a key be ready before it is issued."""
    old = {m["kind"]: made(m, "old") for m in (GROUP, key("app"), ROLLOUT)}
    namespace = Namespace(3600, *old.values())
    namespace.rollouts.standing.now["r"] = replace(namespace.rollouts.standing.now["r"], step=1, run="run1")
    task = asyncio.create_task(namespace.reporter.run())
    try:
        namespace.put(made(old[kind], "new"))
        decision = decide(snapshot(*old.values()), None, now=now())
        namespace.reporter.report(Outcome(decision, Programmed("f" * 64, 1, 1), {}))
        await namespace.written_since(0)
        told = {k: "status" in namespace.get(k, m["metadata"]["name"]) for k, m in old.items()}
        assert told == {k: k != kind for k in old}
    finally:
        task.cancel()
