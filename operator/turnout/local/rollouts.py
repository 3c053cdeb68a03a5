"""The rollouts of a directory: the laptop's watch.rollouts. What they stand at is kept in DIR/.turnout/status."""

import logging
from collections.abc import Iterable

from turnout.api.canaryrollout_status import Action, DecisionStatus
from turnout.decide.build import Decision
from turnout.decide.canary.standing import Change, Standing
from turnout.decide.evidence import Look
from turnout.decide.ir import Router
from turnout.decide.rollouts import States
from turnout.decide.snapshot import Snapshot
from turnout.infra.rollout_status import restored
from turnout.local.clock import Clock
from turnout.local.home import Home

log = logging.getLogger(__name__)
KIND = "CanaryRollout"


class Rollouts:
    """Keeps them. One process, one Envoy, and statuses that are files: so nothing here waits."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home, self._clock = home, clock
        self._standing = Standing()

    @property
    def publishable(self) -> States:
        """What Envoy may be told."""
        return self._standing.publishable

    @property
    def tellable(self) -> States:
        """What statuses may tell."""
        return self._standing.tellable

    @property
    def waits(self) -> bool:
        """Whether Envoy is to be told something."""
        return not self._standing.is_published

    def follow(self, names: Iterable[str]) -> None:
        """Take up those that came, let go of those that went."""
        wanted = set(names)
        for name in self._standing.now.keys() - wanted:
            self._standing.forget(name)
        for name in sorted(wanted - self._standing.now.keys()):
            # A run whose time passes faster ended in a future from which the next one cannot go on.
            kept = {} if self._clock.fast else self._home.object(KIND, name).get("status") or {}
            self._standing.meet(name, restored(kept))

    def advance(self, snapshot: Snapshot, decision: Decision, running: Router | None, look: Look | None) -> bool:
        """Decide; whether anything changed but figures."""
        change = self._standing.advance(snapshot, decision.verdicts, running, look, self._clock.now())
        return change is not Change.FIGURES

    def published(self, states: States) -> None:
        """Envoy was told these: a line for each fall."""
        for name, decisions in self._standing.published(states).items():
            _tell(name, decisions)

    def kept(self, states: States) -> None:
        """Statuses say so now: a line for each other decision."""
        for name, state in states.items():
            _tell(name, self._standing.kept(name, state))


def _tell(name: str, decisions: Iterable[DecisionStatus]) -> None:
    for decision in decisions:
        level = logging.WARNING if decision.action is Action.ROLLBACK else logging.INFO
        log.log(level, "%s: %s: %s", name, decision.action.value, decision.message or decision.reason)
