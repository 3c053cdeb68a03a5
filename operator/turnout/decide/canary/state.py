"""How a rollout stands: all that is needed to go on, after a crash too. Pure data, kept in the rollout's status."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from turnout.api import CanaryRollout, ModelGroup
from turnout.api.canaryrollout import Sticky
from turnout.api.canaryrollout_status import MOST_DECISIONS, Action, DecisionStatus, RolloutPhase
from turnout.api.schema import Part
from turnout.decide.canary.excluded import excess
from turnout.decide.canary.gates import Judgement, judge
from turnout.decide.canary.ledger import Ledger
from turnout.decide.canary.telling import gate_status
from turnout.decide.evidence import Look
from turnout.decide.ir import canonical, digest
from turnout.decide.verdict import Finding

BREACH = "Breach"
ADOPTED = "Adopted"
REVERTED = "Reverted"
TOLD = 1_000
"""Characters of a message, at most."""
OVER = frozenset({RolloutPhase.PROMOTED, RolloutPhase.ROLLED_BACK, RolloutPhase.ABORTED})
"""Phases in which nothing is measured any more."""


@dataclass(frozen=True)
class Hashes:
    """What a rollout was when it was last looked at, so that a change is seen.

    Attributes:
        model: of the names of group and model; empty: kept by an operator that did not know it.
        steps: of what makes it another rollout: group, model, steps, sticky.
        spec: of that, the gates, onBreach and bake.
        entries: of the group's entries of canary and baseline.
        group: of the rest of the group.
    """

    model: str = ""
    steps: str = ""
    spec: str = ""
    entries: str = ""
    group: str = ""


NO_HASHES = Hashes()


@dataclass(frozen=True)
class State:
    """How a rollout stands.

    Attributes:
        reason, message: why it is in its phase.
        step: the first is 1; 0: it has not started, or went back.
        weight: percent that is wanted.
        run: id of this run; empty: it never ran. runs: how often it began.
        since: when every router ran the weight of this step; None: not yet.
        held: how much of the step's hold is over. counted_at: until when that was counted; None: it stands still.
        failed: hash of the spec that was rolled back.
        failed_promoted: whether promote was set at the breach, and still is.
        left: the step that promote or abort left; 0: none.
        applied: percent that every ready router runs, as last seen; None: not known.
        decisions: newest first.
    """

    phase: RolloutPhase = RolloutPhase.PENDING
    reason: str = "Pending"
    message: str = "It was not looked at yet."
    step: int = 0
    weight: int = 0
    run: str = ""
    runs: int = 0
    since: datetime | None = None
    held: timedelta = timedelta()
    counted_at: datetime | None = None
    hashes: Hashes = NO_HASHES
    failed: str = ""
    failed_promoted: bool = False
    left: int = 0
    applied: int | None = None
    ledger: Ledger = field(default_factory=Ledger)
    decisions: tuple[DecisionStatus, ...] = ()

    @property
    def tag(self) -> str:
        """What routers count by what they draw for this run in this period of its evidence."""
        return f"{self.run}-{self.ledger.period}"

    @property
    def adopted(self) -> bool:
        """Whether the group names the canary first, so that the rollout has no effect any more."""
        return self.phase is RolloutPhase.PROMOTED and self.reason == ADOPTED

    @property
    def held_at_breach(self) -> bool:
        """Whether it waits for a person to decide."""
        return self.phase is RolloutPhase.HOLDING and self.reason == BREACH

    @property
    def measuring(self) -> bool:
        """Whether it is in a step, and looks at routers tell something."""
        return self.step > 0 and self.phase not in OVER

    @property
    def live(self) -> bool:
        """Whether it has, or may soon have, an effect on its group."""
        return self.phase not in OVER or (self.phase is RolloutPhase.PROMOTED and not self.adopted)

    def judged(self, rollout: CanaryRollout) -> tuple[Judgement, ...]:
        """What the evidence of this step, or of the last one, says."""
        book, spec = self.ledger, rollout.spec
        return judge(spec.gates, canary=book.canary, baseline=book.compared, periods=len(spec.steps))

    def excess(self, rollout: CanaryRollout) -> str:
        """Of what is no evidence, and the canary surely has more of all the same, in words; empty: of nothing."""
        book, spec = self.ledger, rollout.spec
        return excess(spec.gates, canary=book.canary, baseline=book.compared, periods=len(spec.steps))

    def by_lot(self, rollout: CanaryRollout) -> bool:
        """Whether each request is drawn for an arm by itself, and at the same time as those it is compared with."""
        return rollout.spec.sticky is Sticky.NONE and not self.ledger.alone

    def told(self, phase: RolloutPhase, reason: str, message: str) -> "State":
        """Where it is, and why."""
        return replace(self, phase=phase, reason=reason, message=message[:TOLD])

    def decided(
        self,
        action: Action,
        reason: str,
        message: str,
        now: datetime,
        judged: tuple[Judgement, ...] = (),
        *,
        left: int = 0,
    ) -> "State":
        """With a decision, which says the step and weight from now on. left: the step that was left by going back."""
        decision = DecisionStatus(
            at=now,
            action=action,
            step=left or self.step,
            weight=self.weight,
            reason=reason,
            message=message[:TOLD],
            analysis=tuple(gate_status(one) for one in judged),
        )
        return replace(self, decisions=(decision, *self.decisions)[:MOST_DECISIONS])

    def at_step(self, step: int, weight: int, *, same_models: bool = True) -> "State":
        """At the beginning of a step, with no evidence of it yet."""
        ledger = self.ledger.next_period(alone=weight == 100, same_models=same_models)
        return replace(self, step=step, weight=weight, since=None, held=timedelta(), counted_at=None, ledger=ledger)

    def fallen(self) -> "State":
        """Back at weight 0; the evidence stays, for people to look at."""
        return replace(self, step=0, weight=0, since=None, held=timedelta(), counted_at=None)


@dataclass(frozen=True)
class Seen:
    """What was seen since the last time.

    Attributes:
        group: as its spec is now; None: it does not exist, or routers are not told of it as it is.
        problem: why the rollout cannot be; None: it can.
        applied: percent of first attempts that every ready router sends to the canary; None: not known, or they differ.
        look: a new look at all routers; None: there was none.
        primary: the group's first model as every ready router runs it; None: not known, or they differ.
        unknown: for how long this operator has not known what every ready router runs.
    """

    group: ModelGroup | None
    problem: Finding | None = None
    applied: int | None = None
    look: Look | None = None
    primary: str | None = None
    unknown: timedelta = timedelta()


def hashes_of(rollout: CanaryRollout, group: ModelGroup | None, before: Hashes = NO_HASHES) -> Hashes:
    """What it is now. Of a group that routers are not told of as it is, what it was before: they run that."""
    spec = _written(rollout.spec)
    model = {name: spec.get(name) for name in ("modelGroup", "model")}
    steps = {**model, **{name: spec.get(name) for name in ("steps", "sticky")}}
    rules = {name: spec.get(name) for name in ("gates", "onBreach", "bake")}
    found = replace(before, model=_hash(model), steps=_hash(steps), spec=_hash([steps, rules]))
    if group is None:
        return found
    whole = _written(group.spec)
    models = whole["models"]
    entries = [m for m in models[1:] if m["name"] == rollout.spec.model]
    rest = [m for m in models[1:] if m["name"] != rollout.spec.model]
    return replace(found, entries=_hash([models[0], *entries]), group=_hash({**whole, "models": rest}))


def _written(spec: Part) -> dict[str, Any]:
    """Without what is as by default: a newer operator may know more fields, and that is no change."""
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _hash(value: object) -> str:
    return digest(canonical(value).decode())
