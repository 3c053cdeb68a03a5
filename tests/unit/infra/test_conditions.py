"""Conditions out of verdicts and progress, as kstatus reads them."""

from datetime import UTC, datetime

import pytest

from turnout.api import ConditionStatus, ConditionType
from turnout.decide.verdict import Finding, Reason, Verdict
from turnout.infra import conditions
from turnout.infra.conditions import LONGEST_MESSAGE, Condition, holds
from turnout.infra.observation import Programmed

DONE = Programmed("v", 2, 2)
FINE = Verdict("ModelGroup", "assistant", 3)


def broken(reason: Reason, *, stale: bool = False) -> Verdict:
    """A verdict with a problem."""
    return Verdict("ModelGroup", "assistant", 3, problem=Finding(reason, "spec.models", "Do this."), stale=stale)


def conditions_of(verdict: Verdict, progress: Programmed) -> dict[str, tuple[str, str]]:
    """Type → status and reason, of everything that a group's status is made of."""
    found = [
        conditions.accepted(verdict),
        conditions.resolved(verdict),
        conditions.programmed(verdict, progress),
    ]
    found += conditions.summary(verdict, found)
    assert all(c.message.endswith(".") and len(c.message) <= LONGEST_MESSAGE for c in found)
    return {c.type.value: (c.status.value, c.reason) for c in found}


CASES: dict[str, tuple[Verdict, Programmed, dict[str, tuple[str, str]]]] = {
    "every router runs it": (FINE, DONE, {"Programmed": ("True", "Programmed"), "Ready": ("True", "Ready")}),
    "one router is behind": (
        FINE,
        Programmed("v", 2, 1),
        {"Programmed": ("False", "Pending"), "Ready": ("False", "Pending"), "Reconciling": ("True", "Pending")},
    ),
    "no router is there": (
        FINE,
        Programmed("v", 0, 0),
        {"Programmed": ("False", "NoRouterReady"), "Reconciling": ("True", "NoRouterReady")},
    ),
    "a router refuses it": (
        FINE,
        Programmed("v", 2, 1, rejection="no such field"),
        {"Programmed": ("False", "Rejected"), "Ready": ("False", "Rejected"), "Stalled": ("True", "Rejected")},
    ),
    "the API server refuses it": (
        FINE,
        Programmed("v", 0, 0, failure="413 too large"),
        {"Programmed": ("False", "ApplyFailed"), "Reconciling": ("True", "ApplyFailed")},
    ),
    "a Secret is missing, nothing is served": (
        broken(Reason.SECRET_NOT_FOUND),
        DONE,
        {
            "Accepted": ("True", "Accepted"),
            "ResolvedRefs": ("False", "SecretNotFound"),
            "Programmed": ("False", "SecretNotFound"),
            "Ready": ("False", "SecretNotFound"),
            "Reconciling": ("True", "SecretNotFound"),
        },
    ),
    "a Secret is missing, the last good one is served": (
        broken(Reason.SECRET_NOT_FOUND, stale=True),
        DONE,
        {"Programmed": ("True", "Programmed"), "Ready": ("False", "SecretNotFound")},
    ),
    "the spec is wrong": (
        broken(Reason.INVALID),
        DONE,
        {"Accepted": ("False", "Invalid"), "Ready": ("False", "Invalid"), "Stalled": ("True", "Invalid")},
    ),
    "a key names a group that is not there": (
        Verdict(
            "ScopedKey", "app", 1, unresolved=(Finding(Reason.MODEL_GROUP_NOT_FOUND, "spec.modelGroups[0]", "No."),)
        ),
        DONE,
        {"ResolvedRefs": ("False", "ModelGroupNotFound"), "Ready": ("True", "Ready")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_conditions_say_it(case: str) -> None:
    """Each situation has its conditions; Reconciling and Stalled are there only while they hold, and never both."""
    verdict, progress, expected = CASES[case]
    found = conditions_of(verdict, progress)
    assert found | expected == found
    held = {"Reconciling", "Stalled"} & found.keys()
    assert len(held) == (0 if found["Ready"][0] == "True" else 1)
    assert held <= expected.keys() | {"Reconciling"}


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    """A new reason or message is no transition."""
    before = {"type": "Ready", "status": "True", "reason": "Old", "lastTransitionTime": "2026-11-01T00:00:00Z"}
    now = datetime(2026, 11, 2, tzinfo=UTC)
    kept, changed = (
        conditions.stamped([condition], [before], generation=4, now=now)[0]
        for condition in (
            holds(ConditionType.READY, "New", "Other words."),
            Condition(ConditionType.READY, ConditionStatus.FALSE, "New", "Other words."),
        )
    )
    assert kept["lastTransitionTime"] == "2026-11-01T00:00:00Z"
    assert changed["lastTransitionTime"] == "2026-11-02T00:00:00Z"
    assert kept["observedGeneration"] == 4


def test_a_long_message_is_cut() -> None:
    """A provider's essay does not fill the object."""
    assert len(holds(ConditionType.READY, "R", "word " * 1000).message) <= LONGEST_MESSAGE
