"""The running Envoy → statuses, rows for people, and a line for each thing worth one. The laptop's observe.watcher."""

import asyncio
import logging
from collections.abc import Callable, Set
from datetime import UTC, datetime

import httpx

from turnout.decide.evidence import Look
from turnout.decide.facts import Uses
from turnout.decide.ir import Router
from turnout.decide.usage import Ledger
from turnout.errors import ScrapeError
from turnout.infra.observation import LaneState, Observation, Refusal
from turnout.infra.pods import RouterPod
from turnout.local.clock import Clock
from turnout.local.figures import Figures, GroupRow
from turnout.observe.arms import ArmBook
from turnout.observe.sample import Sampler
from turnout.observe.scrape import read_lanes, read_metrics
from turnout.observe.spending import spending
from turnout.observe.uses import UseBook

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks: how late a person sees a circuit open."""
STATUS_S = 30.0
"""Seconds between two writes of statuses of which only figures changed, as in the operator."""
SUMMARY_S = 10.0
"""Seconds between two lines about traffic."""


class Watcher:
    """Looks at one Envoy. rows, uses, ledger and arms are what it saw last."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        write_statuses: Callable[[Observation], None],
        ledger: Ledger,
        clock: Clock,
        known: Callable[[], Set[str]],
    ) -> None:
        """url: the status listener; ledger: what keys had used before this Envoy began; clock: that of rollouts; known:
        ids of the tokens that are kept.
        """
        self.ledger = ledger.of_routers(frozenset())
        self._http = http
        self._url = url
        self._write_statuses = write_statuses
        self._known = known
        self._figures = Figures()
        self._sampler = Sampler()
        self._book = UseBook()
        self._arms, self._clock = ArmBook(), clock
        # Counters begin at zero with each Envoy, so each is another one.
        self._envoy = RouterPod("", "envoy", "127.0.0.1", f"envoy/{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        self._lanes: tuple[LaneState, ...] = ()
        self._written_at = 0.0
        self._said: dict[str, GroupRow] = {}
        self._said_at = 0.0
        self.rows: list[GroupRow] = []
        self.uses = Uses()
        self.arms: Look | None = None

    async def look(self, router: Router) -> None:
        """Look once. An Envoy that does not answer is looked at again the next time."""
        now, began = asyncio.get_running_loop().time(), datetime.now(UTC)
        try:
            lanes = await read_lanes(self._http, self._url)
            samples = await read_metrics(self._http, self._url)
        except ScrapeError as error:
            log.debug("%s", error)
            self.uses = self._book.uses(["envoy"], began)
            self.arms = self._arms.look((self._envoy,), self._clock.now())
            return
        self._arms.add(self._envoy.life, samples)
        self.arms = self._arms.look((self._envoy,), self._clock.now())
        self._figures.add(samples, now)
        self._sampler.add("envoy", samples, now)
        self._book.add("envoy", samples, began)
        self._book.forget(self._known())
        self.uses = self._book.uses(["envoy"], began)
        self.ledger = self.ledger.looked("envoy", spending(samples), began)
        self._tell_changes(router, lanes)
        before, self._lanes = Observation(self._lanes), lanes
        seen = self.seen(now)
        self.rows = self._figures.rows(router, seen)
        if seen.news != before.news or now - self._written_at >= STATUS_S:
            self._written_at = now
            self._write_statuses(seen)
        if now - self._said_at >= SUMMARY_S:
            self._said_at = now
            self._tell_traffic()

    def seen(self, now: float) -> Observation:
        """The last look, for statuses; now: seconds of the loop's clock."""
        return Observation(self._lanes, self._sampler.figures(now), self.uses, self.ledger)

    def _tell_changes(self, router: Router, lanes: tuple[LaneState, ...]) -> None:
        before = {state.lane: state for state in self._lanes}
        names = {m.lane.id: m.name for g in router.groups for m in g.members}
        for state in lanes:
            old = before.get(state.lane)
            name = names.get(state.lane, state.lane)
            if old is not None and old.circuit != state.circuit:
                log.info("%s: circuit %s (was %s)", name, state.circuit.value, old.circuit.value)
            if state.refusal is not None and not _same(old.refusal if old else None, state.refusal):
                log.warning("%s: the provider refuses: %d %s", name, state.refusal.status, state.refusal.message)
            if state.warm_fault is not None and (old is None or old.warm_fault is None):
                log.warning("%s: its warm-up failed: %s", name, state.warm_fault)

    def _tell_traffic(self) -> None:
        for row in self.rows:
            before = self._said.get(row.name)
            requests = row.requests - (before.requests if before else 0)
            if requests > 0:
                errors = row.errors - (before.errors if before else 0)
                fell_back = row.fell_back - (before.fell_back if before else 0)
                log.info(
                    "%s: %d requests, %d answered by a fallback, %d errors, %.4f USD so far",
                    row.name, requests, fell_back, errors, sum(model.usd for model in row.models),
                )  # fmt: skip
            self._said[row.name] = row


def _same(old: Refusal | None, new: Refusal) -> bool:
    """Whether a refusal says nothing new: every refused attempt renews its time."""
    return old is not None and (old.status, old.message) == (new.status, new.message)
