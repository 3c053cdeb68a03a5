"""How a rollout stands ↔ its status, which is all that is kept of it; and its conditions. Pure."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from turnout.api import CanaryRollout, CanaryRolloutStatus, ConditionType
from turnout.api.canaryrollout import Sticky
from turnout.api.canaryrollout_status import (
    ArmErrors,
    ArmLatency,
    ArmStatus,
    BrokenStatus,
    LedgerStatus,
    MemoryStatus,
    MissingStatus,
    RolloutPhase,
    RouterCounts,
    WeightStatus,
)
from turnout.decide.canary.compact import from_line, to_line
from turnout.decide.canary.gates import error_share, mean_ms, p95_ms, usd_per_1k_tokens
from turnout.decide.canary.ledger import Arms, Broken, Ledger, Missing
from turnout.decide.canary.sequences import Bounds, Share, share_bounds
from turnout.decide.canary.state import Hashes, State
from turnout.decide.canary.telling import gate_status, measure
from turnout.decide.evidence import NO_EVIDENCE, OK, Arm, ArmCounts, Latencies
from turnout.infra.conditions import Condition, fails, holds
from turnout.infra.labels import Json

SURE = 0.001
"""Chance that the observed share is ever wrongly said to be off, for each bound and step. A guess."""
MOST_SILENT = 10
EXPLANATIONS = frozenset({"analysis", "evidence"})
"""Fields of a status, and of its decisions, with the numbers behind it."""
LATER = frozenset({"modelHash"})
"""Fields of `memory` that the first definitions do not have, and without which it goes on all the same."""
ODDITIES = frozenset(
    {
        ConditionType.WEIGHT_OFF,
        ConditionType.EXCLUDED_UNEVEN,
        ConditionType.EVIDENCE_MISSING,
        ConditionType.MEASUREMENT_BROKEN,
    }
)
"""Conditions that tell what is odd about it. No other kind has them, and definitions list those that they know."""


def rollout_fields(rollout: CanaryRollout, state: State) -> Json:
    """The fields of the status that tell how it stands; `restored` reads them back."""
    book, missing, broken = state.ledger, state.ledger.missing, state.ledger.broken
    parts = CanaryRolloutStatus(
        phase=state.phase,
        reason=state.reason,
        message=state.message,
        step=state.step,
        weight=_weight(state),
        step_started_at=state.since,
        held=state.held,
        analysis=tuple(map(gate_status, state.judged(rollout))) if state.ledger.open else (),
        evidence=_evidence(state.ledger) if state.ledger.open else (),
        missing=_missing(missing) if missing != Missing() else None,
        broken=BrokenStatus(looks=broken.looks, now=broken.now, message=broken.words) if broken != Broken() else None,
        decisions=state.decisions,
        ledger=_ledger(book),
        memory=_memory(state),
    )
    return parts.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def restored(status: Mapping[str, Any]) -> State:
    """How the rollout stood when its status was written; one that cannot be read is a rollout that never ran."""
    try:
        # A newer operator may have written conditions that this one does not know; they hold no state.
        read = CanaryRolloutStatus.model_validate({**status, "conditions": ()})
        if read.ledger is None or read.memory is None or read.phase is None or read.weight is None:
            return State()
        return _state(read, read.phase, read.weight, read.memory, _book(read, read.ledger))
    except (ValidationError, ValueError):
        return State()


def without_explanations(status: Json) -> Json:
    """The same as older definitions know it; of other kinds, just the same.

    It is without what is for people only, and without what `restored` can do without.
    """
    left = {name: value for name, value in status.items() if name not in EXPLANATIONS}
    if "decisions" in left:
        left["decisions"] = [{n: v for n, v in one.items() if n not in EXPLANATIONS} for one in left["decisions"]]
    if "memory" in left:
        left["memory"] = {n: v for n, v in left["memory"].items() if n not in LATER}
    if "conditions" in left:
        left["conditions"] = [one for one in left["conditions"] if one["type"] not in ODDITIES]
    return left


def rollout_conditions(rollout: CanaryRollout, state: State) -> list[Condition]:
    """Whether it is done (Ready), under way (Reconciling) or needs a person (Stalled), and what is odd about it."""
    found = [_programmed(state)]
    reason, message = state.reason, state.message
    if state.phase is RolloutPhase.PROMOTED:
        found.append(holds(ConditionType.READY, reason, message))
    else:
        stalled = state.phase in {RolloutPhase.ROLLED_BACK, RolloutPhase.ABORTED}
        stalled |= state.held_at_breach
        kind = ConditionType.STALLED if stalled else ConditionType.RECONCILING
        found += [fails(ConditionType.READY, reason, message), holds(kind, reason, message)]
    return [*found, *_oddities(rollout, state)] if state.measuring else found


def _programmed(state: State) -> Condition:
    kind = ConditionType.PROGRAMMED
    if state.applied == state.weight:
        return holds(kind, "Programmed", f"Every ready router sends {state.weight} % of first attempts to the canary.")
    if state.applied is None:
        words = f"Whether every ready router sends {state.weight} % of first attempts to the canary is not known."
        return fails(kind, "Pending", words)
    words = f"Not every ready router runs {state.weight} % yet. Every ready router runs {state.applied} %."
    return fails(kind, "Pending", words)


def _oddities(rollout: CanaryRollout, state: State) -> list[Condition]:
    found, book = [], state.ledger
    observed, bounds = _observed(state)
    if not bounds.low <= state.weight / 100 <= bounds.high:
        span = f"{100 * bounds.low:.3g} to {100 * bounds.high:.3g} %"
        words = f"The canary should get {state.weight} % of first attempts, and gets {100 * observed:.3g} % ({span})."
        why = " Keys are unequal: with sticky: Key each has an arm of its own." if _sticky(rollout) else ""
        found.append(holds(ConditionType.WEIGHT_OFF, "KeysUnequal" if why else "Observed", words + why))
    if excess := state.excess(rollout):
        lot = state.by_lot(rollout)
        words = (
            "It is the model." if lot else "The arms are not drawn by lot, so it may be the clients, and nothing waits."
        )
        found.append(holds(ConditionType.EXCLUDED_UNEVEN, "Model" if lot else "NotByLot", f"{excess} {words}"))
    if book.missing.silent:
        words = f"{len(book.missing.silent)} routers did not answer the last look; what they counted may still come."
        found.append(holds(ConditionType.EVIDENCE_MISSING, "RoutersSilent", words))
    if book.broken.now:
        words = f"Left out of the evidence: {book.broken.words}."
        found.append(holds(ConditionType.MEASUREMENT_BROKEN, "NoSense", words))
    return found


def observed_share(state: State) -> tuple[float, Bounds] | None:
    """The canary's share of first attempts in this step, and where the true one surely lies; None: no traffic yet."""
    if not state.step or not state.ledger.canary.drawn + state.ledger.baseline.drawn:
        return None
    return _observed(state)


def _sticky(rollout: CanaryRollout) -> bool:
    return rollout.spec.sticky is Sticky.KEY


def _observed(state: State) -> tuple[float, Bounds]:
    canary, baseline = state.ledger.canary.drawn, state.ledger.baseline.drawn
    share = Share(canary, canary + baseline)
    return share.value, share_bounds(share, SURE)


def _weight(state: State) -> WeightStatus:
    weight = WeightStatus(desired=state.weight, applied=state.applied)
    share = observed_share(state)
    if share is None:
        return weight
    observed, bounds = share
    shown = {"observed": observed, "observed_low": bounds.low, "observed_high": bounds.high}
    return weight.model_copy(update={name: measure(100 * value) for name, value in shown.items()})


def _evidence(book: Ledger) -> tuple[ArmStatus, ...]:
    return _arm(Arm.CANARY, book.canary), _arm(Arm.BASELINE, book.compared, before=book.alone)


def _arm(arm: Arm, counts: ArmCounts, *, before: bool = False) -> ArmStatus:
    failed = {result: n for result, n in counts.results.items() if result not in {OK, *NO_EVIDENCE}}
    excluded = {result: n for result, n in counts.results.items() if result in NO_EVIDENCE}
    share = error_share(counts)
    return ArmStatus(
        arm=arm.value,
        from_steps_before=before,
        requests=counts.requests,
        pending=counts.pending,
        error_rate=measure(share.value) if share.of else None,
        errors=_kinds(failed),
        excluded=_kinds(excluded),
        latency=_latency(counts.took, counts.ok),
        first_token=_latency(counts.first_token, counts.first_token.count),
        tokens=counts.tokens,
        cost_per_1k_tokens=measure(usd_per_1k_tokens(counts)),
    )


def _kinds(counts: Mapping[str, int]) -> tuple[ArmErrors, ...]:
    ordered = sorted((-n, result) for result, n in counts.items() if n > 0)
    return tuple(ArmErrors(result=result, count=-n) for n, result in ordered)


def _latency(took: Latencies, count: int) -> ArmLatency | None:
    mean, p95 = measure(mean_ms(took.sum_ms, count)), measure(p95_ms(took))
    return None if mean is None or p95 is None else ArmLatency(mean_ms=mean, p95_ms=p95)


def _missing(missing: Missing) -> MissingStatus:
    silent = sorted(missing.silent)
    return MissingStatus(silent=tuple(silent[:MOST_SILENT]), silent_count=len(silent), gone=missing.gone)


def _ledger(book: Ledger) -> LedgerStatus:
    return LedgerStatus(
        period=book.period,
        alone=book.alone,
        looked_at=book.looked_at,
        canary=to_line(book.canary),
        baseline=to_line(book.baseline),
        earlier_baseline=to_line(book.earlier),
        routers=tuple(
            RouterCounts(life=life, **{arm.value: to_line(c) for arm, c in mark.items()})
            for life, mark in sorted(book.marks.items())
        ),
    )


def _memory(state: State) -> MemoryStatus:
    return MemoryStatus(
        run=state.run,
        runs=state.runs,
        model_hash=state.hashes.model,
        steps_hash=state.hashes.steps,
        spec_hash=state.hashes.spec,
        entries_hash=state.hashes.entries,
        group_hash=state.hashes.group,
        failed_hash=state.failed,
        failed_promoted=state.failed_promoted,
        left_step=state.left,
        counted_at=state.counted_at,
    )


def _state(
    read: CanaryRolloutStatus, phase: RolloutPhase, weight: WeightStatus, memory: MemoryStatus, book: Ledger
) -> State:
    return State(
        phase=phase,
        reason=read.reason or "",
        message=read.message or "",
        step=read.step or 0,
        weight=weight.desired,
        run=memory.run,
        runs=memory.runs,
        since=read.step_started_at,
        held=read.held or State.held,
        counted_at=memory.counted_at,
        hashes=Hashes(memory.model_hash, memory.steps_hash, memory.spec_hash, memory.entries_hash, memory.group_hash),
        failed=memory.failed_hash,
        failed_promoted=memory.failed_promoted,
        left=memory.left_step,
        applied=weight.applied,
        ledger=book,
        decisions=read.decisions,
    )


def _book(read: CanaryRolloutStatus, kept: LedgerStatus) -> Ledger:
    missing, broken = read.missing or MissingStatus(), read.broken
    return Ledger(
        period=kept.period,
        alone=kept.alone,
        looked_at=kept.looked_at,
        canary=from_line(kept.canary),
        baseline=from_line(kept.baseline),
        earlier=from_line(kept.earlier_baseline),
        marks={router.life: _mark(router) for router in kept.routers},
        missing=Missing(frozenset(missing.silent), missing.gone),
        broken=Broken(broken.looks, broken.now, broken.message) if broken else Broken(),
    )


def _mark(router: RouterCounts) -> Arms:
    arms = {Arm.BASELINE: from_line(router.baseline), Arm.CANARY: from_line(router.canary)}
    return {arm: counts for arm, counts in arms.items() if counts != ArmCounts()}
