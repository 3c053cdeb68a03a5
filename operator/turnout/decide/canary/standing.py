"""How the rollouts of one namespace stand: as decided, as kept in their statuses, as published to routers. Pure.

A weight and the period that counts under it are kept before they are published, so that a crash in between repeats
nothing, skips nothing, and gives no period's number to other evidence. A fall to nothing is published before it is
kept: routers must not wait for a status. So it is told when it is published, other decisions when they are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import Enum

from turnout.api.canaryrollout_status import DecisionStatus
from turnout.decide.canary.state import State
from turnout.decide.evidence import Look
from turnout.decide.ir import Router
from turnout.decide.rollouts import States, advanced
from turnout.decide.snapshot import Snapshot
from turnout.decide.verdict import Verdict

NEVER = State()


class Change(Enum):
    """What came of a look, or of a change of resources; a fall to nothing is news, too."""

    FIGURES = 0
    NEWS = 1
    FALL = 2


class Standing:
    """By name of the rollout.

    Attributes:
        now: as decided last.
    """

    def __init__(self) -> None:
        self.now: dict[str, State] = {}
        self._kept: dict[str, State] = {}
        self._said: dict[str, tuple[DecisionStatus, ...]] = {}
        self._published: Mapping[str, State] = {}
        self._unknown_since: datetime | None = None

    def meet(self, name: str, kept: State) -> None:
        """A rollout that was not known, with what its status keeps."""
        self.now[name] = self._kept[name] = kept
        self._said[name] = kept.decisions

    def forget(self, name: str) -> None:
        """A rollout that is gone."""
        del self.now[name], self._kept[name], self._said[name]

    def advance(
        self, snapshot: Snapshot, verdicts: Iterable[Verdict], running: Router | None, look: Look | None, now: datetime
    ) -> Change:
        """Decide. Arguments are those of decide.rollouts.advanced."""
        before = self.now
        self._unknown_since = (self._unknown_since or now) if running is None else None
        unknown = now - (self._unknown_since or now)
        given = replace(snapshot, rollout_states=before)
        after = advanced(given, verdicts, running, look, now=now, unknown=unknown)
        self.now = {name: state for name, state in after.items() if name in before}  # others are gone meanwhile
        pairs = [(before[name], state) for name, state in self.now.items()]
        if any(old.weight and not new.weight for old, new in pairs):
            return Change.FALL
        return Change.NEWS if any(_told(old) != _told(new) for old, new in pairs) else Change.FIGURES

    @property
    def publishable(self) -> States:
        """What routers may be told: nothing at all, and what is kept."""
        kept = self._kept
        return {n: s if not s.weight or _wanted(s) == _wanted(kept[n]) else kept[n] for n, s in self.now.items()}

    @property
    def tellable(self) -> States:
        """What statuses may tell: all but falls to nothing that routers were not told."""
        drawing = self._drawing
        return {n: s if s.weight or n not in drawing else self._kept[n] for n, s in self.now.items()}

    @property
    def is_published(self) -> bool:
        """Whether routers, and verdicts, are by all that they may be."""
        return self.is_all(self._published)

    def is_all(self, states: States) -> bool:
        """Whether a decision by these is one by all that routers may be told."""
        return all(_wanted(s) == _wanted(states.get(n, NEVER)) for n, s in self.publishable.items())

    def published(self, states: States) -> Mapping[str, tuple[DecisionStatus, ...]]:
        """Routers were told these; the decisions behind falls to nothing that were not told before, oldest first."""
        drawing, self._published = self._drawing, dict(states)
        return {n: self._fresh(n, s) for n, s in states.items() if n in drawing and not s.weight}

    def kept(self, name: str, state: State) -> tuple[DecisionStatus, ...]:
        """A status says so now; the decisions that were not told before, oldest first."""
        if name not in self._kept:
            return ()
        self._kept[name] = state
        return self._fresh(name, state)

    @property
    def _drawing(self) -> frozenset[str]:
        """For whose canaries routers draw. A new operator takes it that they were told what statuses keep."""
        return frozenset(name for name, kept in self._kept.items() if self._published.get(name, kept).weight)

    def _fresh(self, name: str, state: State) -> tuple[DecisionStatus, ...]:
        fresh = tuple(decision for decision in reversed(state.decisions) if decision not in self._said[name])
        if fresh:  # else it may be an older state, whose write was under way when a fall was told
            self._said[name] = state.decisions
        return fresh


def _told(state: State) -> object:
    book = state.ledger
    measured = book.canary.drawn + book.baseline.drawn > 0
    return state.phase, state.reason, state.step, state.weight, state.run, state.applied, measured, state.decisions[:1]


def _wanted(state: State) -> object:
    """What routers are told of it, or whether others wait for it."""
    return (state.weight, state.tag) if state.weight else state.live
