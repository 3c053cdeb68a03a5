"""Verdict and progress → conditions. Pure.

They follow kstatus: Ready says whether the object is as its spec says; Reconciling holds while the operator is at it or
waits for something that may still come; Stalled holds when only a person can help. Both are left out while they do not
hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from turnout.api import ConditionStatus, ConditionType
from turnout.api.quantities import format_time
from turnout.decide.verdict import Finding, Reason, Verdict
from turnout.infra.labels import Json
from turnout.infra.observation import Programmed

LONGEST_MESSAGE = 1_024
"""Characters of a message; our limit, so that a provider's or Envoy's text cannot fill an object."""

REFERENCES = frozenset(
    {
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_KEY_NOT_FOUND,
        Reason.SECRET_VALUE_INVALID,
        Reason.MODEL_GROUP_NOT_FOUND,
        Reason.MODEL_GROUP_INVALID,
        Reason.MODEL_NOT_FOUND,
        Reason.PRICE_MISSING,
        Reason.GROUP_HAS_ROLLOUT,
    }
)
"""Reasons that lie in another object: it may still come, so they are waited for."""

STALE = " The last good configuration stays in use."


@dataclass(frozen=True)
class Condition:
    """One condition without its time."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str

    @property
    def holds(self) -> bool:
        """Whether it is True."""
        return self.status == ConditionStatus.TRUE


def holds(kind: ConditionType, reason: str, message: str) -> Condition:
    """A condition that is True."""
    return Condition(kind, ConditionStatus.TRUE, reason, _fit(message))


def fails(kind: ConditionType, reason: str, message: str) -> Condition:
    """A condition that is False."""
    return Condition(kind, ConditionStatus.FALSE, reason, _fit(message))


def accepted(verdict: Verdict) -> Condition:
    """Whether the spec makes sense by itself."""
    problem = verdict.problem
    if problem is None or problem.reason in REFERENCES:
        return holds(ConditionType.ACCEPTED, Reason.ACCEPTED, "The spec is valid.")
    return fails(ConditionType.ACCEPTED, problem.reason, _words(problem) + (STALE if verdict.stale else ""))


def resolved(verdict: Verdict) -> Condition:
    """Whether everything exists that the spec refers to."""
    problem = verdict.problem
    missing = [problem] if problem and problem.reason in REFERENCES else []
    missing += verdict.unresolved
    if not missing:
        return holds(ConditionType.RESOLVED_REFS, Reason.RESOLVED, "All references are resolved.")
    words = " ".join(map(_words, missing)) + (STALE if problem and verdict.stale else "")
    return fails(ConditionType.RESOLVED_REFS, missing[0].reason, words)


def programmed(verdict: Verdict, progress: Programmed) -> Condition:
    """Whether every router runs what the object says, or else its last good configuration."""
    kind = ConditionType.PROGRAMMED
    if verdict.problem and not verdict.stale:
        return fails(kind, verdict.problem.reason, "No router runs anything of this object.")
    if progress.failure is not None:
        return fails(kind, "ApplyFailed", progress.failure)
    if progress.rejection is not None:
        return fails(kind, "Rejected", f"A router refuses the configuration: {progress.rejection}")
    if not progress.routers:
        return fails(kind, "NoRouterReady", "No router of this namespace is ready.")
    if not progress.done:
        behind = f" A router that is behind last refused: {progress.suspicion}" if progress.suspicion else ""
        return fails(kind, "Pending", f"{progress.running} of {progress.routers} routers run it.{behind}")
    return holds(kind, "Programmed", "Every ready router runs " + ("the last good one." if verdict.stale else "it."))


def summary(verdict: Verdict, others: Sequence[Condition]) -> list[Condition]:
    """Ready, and Reconciling or Stalled if it is not, out of the other conditions: the first that fails explains it."""
    failed = next((c for c in others if c.status != ConditionStatus.TRUE), None)
    if verdict.problem is None and failed and failed.type == ConditionType.RESOLVED_REFS:
        failed = next((c for c in others if c.status != ConditionStatus.TRUE and c is not failed), None)
    if failed is None:
        return [holds(ConditionType.READY, "Ready", "It is as the spec says.")]
    waits = failed.type == ConditionType.RESOLVED_REFS or failed.reason in {"NoRouterReady", "Pending", "ApplyFailed"}
    kind = ConditionType.RECONCILING if waits else ConditionType.STALLED
    return [fails(ConditionType.READY, failed.reason, failed.message), holds(kind, failed.reason, failed.message)]


def stamped(
    conditions: Iterable[Condition], old: Iterable[Mapping[str, Any]], *, generation: int, now: datetime
) -> list[Json]:
    """Conditions as the API server keeps them; lastTransitionTime stays that of old where the status did not change."""
    before = {c["type"]: c for c in old}
    return [
        {
            "type": c.type.value,
            "status": c.status.value,
            "reason": c.reason,
            "message": c.message,
            "observedGeneration": generation,
            "lastTransitionTime": _since(c, before.get(c.type.value)) or format_time(now),
        }
        for c in conditions
    ]


def _since(condition: Condition, before: Mapping[str, Any] | None) -> str | None:
    same = before is not None and before.get("status") == condition.status.value
    return before.get("lastTransitionTime") if before is not None and same else None


def _words(finding: Finding) -> str:
    return f"{finding.path}: {finding.message}" if finding.path else finding.message


def _fit(message: str) -> str:
    text = " ".join(message.split())
    text = text if text.endswith(".") else f"{text}."
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 2]}…."
