"""When statuses are written: at once when something happened, rarely when only figures moved."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from harness.manifests import group, model, snapshot
from turnout.api.modelgroup_status import CircuitState
from turnout.decide.build import decide
from turnout.errors import ClusterError, DeniedError
from turnout.infra.kinds import MODEL_GROUP
from turnout.infra.observation import GroupFigures, LaneState, ModelFigures, Observation, Programmed
from turnout.observe.metrics import Metrics
from turnout.settings import Settings
from turnout.watch.context import now
from turnout.watch.reporter import Outcome, Reporter
from turnout.watch.rollouts import Rollouts
from turnout.watch.store import Store

MANIFEST = group("assistant", model("a", "http://a/v1"))
DECISION = decide(snapshot(MANIFEST), None, now=now())
LANE = LaneState(DECISION.router.groups[0].members[0].lane.id, CircuitState.CLOSED, warmed_ms=1_800_000_000_000)
OUTCOME = Outcome(DECISION, Programmed("f" * 64, 1, 1), {})


class Namespace:
    """A reporter with a store and an API server that takes everything.

    Attributes:
        models: status.models as often as written.
        refusal: why what keys have used cannot be kept; None: it can.
        kept: how often it was.
    """

    def __init__(self, figures_s: float) -> None:
        self.models: list[dict[str, Any]] = []
        self.refusal: ClusterError | None = None
        self.kept = 0
        self.metrics = Metrics()
        self._store = Store(lambda _namespace, _urgent: None)
        settings = Settings(figures_s=figures_s)
        context = SimpleNamespace(kube=self, store=self._store, settings=settings, metrics=self.metrics)
        rollouts = Rollouts(context, "ai")  # type: ignore[arg-type]
        self.reporter = Reporter(context, "ai", self, rollouts, lambda: None)  # type: ignore[arg-type]
        self._put({})

    async def apply(self, obj: dict[str, Any], *, subresource: str) -> None:
        """As the API server does it."""
        assert subresource == "status"
        self.models.append(obj["status"]["models"][0])
        self._put(obj["status"])

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

    def _put(self, status: dict[str, Any]) -> None:
        meta = {"uid": "1", "generation": 1, "resourceVersion": str(len(self.models) + 1)}
        self._store.put(MODEL_GROUP, {**MANIFEST, "metadata": {**MANIFEST["metadata"], **meta}, "status": status})


@contextlib.asynccontextmanager
async def reported(figures_s: float) -> AsyncIterator[Namespace]:
    """A namespace whose routers were looked at, and whose status has been written."""
    namespace = Namespace(figures_s)
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
