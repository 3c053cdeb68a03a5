"""What became of a namespace, and what its routers show → statuses. Runs beside the worker, so nothing waits for it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from turnout.api import ModelGroup
from turnout.apply.statuses import StatusOf, write
from turnout.decide.build import Decision
from turnout.decide.verdict import Verdict
from turnout.errors import ClusterError, TurnoutError
from turnout.infra.kinds import BY_NAME, CANARY_ROLLOUT
from turnout.infra.labels import Json, service_url
from turnout.infra.observation import Observation, Programmed
from turnout.infra.status import Moment, object_status, presses
from turnout.watch.books import Books
from turnout.watch.context import Context, now
from turnout.watch.gather import parse
from turnout.watch.rollouts import Rollouts

log = logging.getLogger(__name__)

RETRY_S = 5.0


@dataclass(frozen=True)
class Outcome:
    """A decision and how far it came. refused: groups that a router refused, with its words; unwritten: keys whose
    Secret the API server refused, with its words; blocked: keys whose rotation cannot begin, and why.
    """

    decision: Decision
    progress: Programmed
    refused: Mapping[str, str]
    unwritten: Mapping[str, str] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)


class Reporter:
    """Writes the statuses of one namespace: at once when a condition or a circuit changed, rarely for mere figures."""

    def __init__(
        self, context: Context, namespace: str, books: Books, rollouts: Rollouts, kept: Callable[[], None]
    ) -> None:
        """books: kept, if they can be, before a status tells what is in them; kept: called when statuses of rollouts
        were written, after which routers may be told more.
        """
        self._context, self._books, self._rollouts, self._kept = context, books, rollouts, kept
        self._namespace = namespace
        self._due = asyncio.Event()
        self._outcome: Outcome | None = None
        self._seen = Observation()
        self._written = Observation()
        self._figures_at = float("-inf")

    @property
    def seen(self) -> Observation:
        """The last look at the routers."""
        return self._seen

    def report(self, outcome: Outcome) -> None:
        """The worker is done."""
        self._outcome = outcome
        self._due.set()

    def decided(self) -> None:
        """A rollout goes on, or something of it changed that is no figure."""
        self._due.set()

    def observe(self, seen: Observation) -> None:
        """The routers were looked at."""
        before, self._seen = self._seen, seen
        if seen.news != before.news or (seen != self._written and self._figures_due()):
            self._due.set()

    async def run(self) -> None:
        """Write for ever. Never raises: what could not be written is tried again."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._write()
            except TurnoutError as error:
                log.warning("namespace %s: status: %s", self._namespace, error)
                asyncio.get_running_loop().call_later(RETRY_S, self._due.set)
            except Exception:
                log.exception("namespace %s: status: a bug", self._namespace)

    async def _write(self) -> None:
        if self._outcome is None:
            return
        seen, figures_due = self._seen, self._figures_due()
        failed: Exception | None = await self._keep_books() if figures_due else None
        states = self._rollouts.tellable()
        outcome = replace(self._outcome, decision=self._outcome.decision.with_rollouts(states))

        def stands(one: StatusOf) -> None:
            if one.live["kind"] == CANARY_ROLLOUT.name and one.live["metadata"]["name"] in states:
                self._rollouts.kept(one.live, states[one.live["metadata"]["name"]])

        try:
            await write(self._context.kube, self._wanted(outcome, seen, figures=figures_due), stands)
        except Exception as error:  # noqa: BLE001  raised below: one status must keep neither Events nor figures back
            failed = error
        finally:
            self._kept()
        await self._rollouts.send_events()
        if figures_due:
            self._figures_at = asyncio.get_running_loop().time()
        if failed is not None:  # not all of `seen` is written, so it is tried again when figures are due again
            raise failed
        if figures_due:
            self._written = seen

    async def _keep_books(self) -> TurnoutError | None:
        """Keep them; why that failed. It must not hold statuses up, as it may fail for ever.

        What a status then tells is what routers counted, kept or not. An operator that starts before it is kept counts
        the same again from the routers; only what those counted that are gone by then is lost, and told no more.
        """
        try:
            await self._books.keep()
        except ClusterError as error:
            return error
        return None

    def _wanted(self, outcome: Outcome, seen: Observation, *, figures: bool) -> list[StatusOf]:
        """Statuses to write. figures: also those of which only figures changed. A bug in one stops no other."""
        wanted = []
        for verdict in outcome.decision.verdicts:
            live = self._context.store.get(self._namespace, BY_NAME[verdict.kind], verdict.name)
            if live is None or verdict.uid not in (None, live["metadata"]["uid"]):
                continue  # made anew, and not decided on yet: a rollout would go on where the one before stood
            old = live.get("status") or {}
            try:
                status = self._status(outcome, verdict, live, old, seen)
                if figures or presses(old, status):
                    wanted.append(StatusOf(live, status))
            except Exception:
                of = f"{verdict.kind} '{verdict.name}'"
                log.exception("namespace %s: status of %s: a bug", self._namespace, of)
        return wanted

    def _figures_due(self) -> bool:
        since = asyncio.get_running_loop().time() - self._figures_at
        return since >= self._context.settings.figures_s

    def _status(
        self, outcome: Outcome, verdict: Verdict, live: Json, old: Mapping[str, Any], seen: Observation
    ) -> Json:
        moment = Moment(
            outcome.decision,
            outcome.progress,
            outcome.refused,
            seen,
            service_url(self._namespace),
            now(),
            outcome.unwritten,
            outcome.blocked,
            split=self._context.settings.rate_limit_service is None,
        )
        if not verdict.generation:  # of an object that cannot be read
            verdict = replace(verdict, generation=live["metadata"].get("generation", 0))
        spec = parse(ModelGroup, live) if verdict.kind == "ModelGroup" else None
        return object_status(verdict, spec if isinstance(spec, ModelGroup) else None, moment, old)
