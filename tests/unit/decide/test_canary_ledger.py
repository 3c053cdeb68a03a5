"""The evidence of a step: each request once, whatever happens to routers, and what is missing said."""

from dataclasses import replace

import pytest

from harness.rollouts import NOW, answers
from turnout.decide.canary.compact import from_line, to_line
from turnout.decide.canary.ledger import Broken, Ledger, Missing
from turnout.decide.evidence import Arm, ArmCounts, Latencies, Look, Where

HERE = ("assistant", "run")
CANARY: Where = (*HERE, Arm.CANARY)
Said = dict[str, int]
"""Life → canary requests that it says it has counted; -1: silent, -2: broken."""


def look(said: Said) -> Look:
    """All routers at one moment; who is not named does not exist."""
    heard = {life: {CANARY: answers(n)} if n else {} for life, n in said.items() if n >= 0}
    return Look(NOW, frozenset(said), heard, {life: "no text" for life, n in said.items() if n == -2})


def book(*looks: Said | None) -> Ledger:
    """After these looks; None: a new period."""
    ledger = Ledger(1)
    for one in looks:
        ledger = ledger.looked(look(one), *HERE) if one is not None else ledger.next_period(alone=False)
    return ledger


@pytest.mark.parametrize(
    ("looks", "counted", "missing"),
    [
        ([{"a": 10}], 0, Missing()),
        ([{"a": 10}, {"a": 15}, {"a": 15}], 5, Missing()),
        ([{"a": 10}, {"a": 15, "b": 7}], 12, Missing()),
        ([{"a": 10}, {"a": -1}, {"a": -1}, {"a": 30}], 20, Missing()),
        ([{"a": 10}, {"a": -1}], 0, Missing(frozenset("a"))),
        ([{"a": 10}, {"a": 30}, {"b": 4}], 24, Missing(gone=1)),
        ([{"a": 10}, {"a": 4}], 4, Missing()),
        ([{"a": 10}, None, {"a": 15}, {"a": 18}], 3, Missing()),
        (
            [{"a": 10, "b": 10}, None, {"a": 15, "b": -1}, {"a": 15, "b": 50}, {"a": 16, "b": 53}],
            4,
            Missing(unplaced=40),
        ),
        ([{"a": 10, "b": -1}, {"a": 11, "b": 50}, {"a": 11, "b": 51}], 2, Missing(unplaced=50)),
        ([{"a": 10}, {"a": 11, "b": -1}, {"a": 11, "b": 50}], 51, Missing()),
        ([{"a": 10}, {"a": -2}, {"a": 12}], 2, Missing()),
    ],
    ids=[
        "first-look-is-where-it-begins",
        "same-look-twice",
        "new-router",
        "silent-catches-up",
        "silent",
        "gone",
        "counter-fell",
        "new-period-begins-with-its-first-look",
        "silent-over-the-beginning",
        "silent-from-the-beginning",
        "new-and-silent-later",
        "broken-catches-up",
    ],
)
def test_each_request_counts_once_and_in_its_period(looks: list[Said | None], counted: int, missing: Missing) -> None:
    """A counter is what it was at the last look of that router, plus what came since."""
    found = book(*looks)
    assert (found.canary.requests, found.missing) == (counted, missing)
    assert found.canary.took.count == counted
    assert found.marks.keys() == (looks[-1] or {}).keys(), "of routers that are gone nothing is kept"


def test_a_router_that_is_cut_off_when_the_operator_begins_anew_counts_nothing_twice() -> None:
    """Its pod is there, not ready, and never answered this operator: it is silent and not gone."""
    ledger = book({"a": 10}, {"a": 15})
    cut_off = ledger.looked(Look(NOW, unheard=frozenset({"a", "never-heard-of"})), *HERE)
    assert cut_off.missing == Missing(frozenset("a"))
    back = cut_off.looked(look({"a": 18}), *HERE)
    assert (back.canary.requests - ledger.canary.requests, back.missing) == (3, Missing())
    assert ledger.looked(Look(NOW), *HERE).missing == Missing(gone=1)


def test_counts_that_cannot_be_are_left_out_and_said() -> None:
    """They count when they make sense again."""
    odd = replace(answers(20), tokens=-5)
    ledger = book({"a": 10}).looked(Look(NOW, frozenset("a"), {"a": {CANARY: odd}}), *HERE)
    assert (ledger.canary.requests, ledger.broken) == (0, Broken(1, True, "router a, canary: a count is negative"))
    ledger = ledger.looked(look({"a": 30}), *HERE)
    assert (ledger.canary.requests, ledger.broken.now, ledger.broken.looks) == (20, False, 1)


def test_what_the_baseline_did_is_kept_over_periods_while_it_is_the_same() -> None:
    """The last step, in which it does nothing, is compared with that."""
    where = (*HERE, Arm.BASELINE)
    ledger = Ledger(1)
    for step in range(3):
        for total in (0, 10):
            ledger = ledger.looked(Look(NOW, frozenset("a"), {"a": {where: answers(10 * step + total)}}), *HERE)
        ledger = ledger.next_period(alone=False)
    assert (ledger.earlier.requests, ledger.baseline.requests) == (30, 0)
    assert ledger.next_period(alone=True, same_models=False).earlier == ArmCounts()


@pytest.mark.parametrize(
    "counts",
    [
        ArmCounts(),
        answers(3, 4),
        replace(answers(7), first_token=Latencies(tuple(range(39)), 123_456), results={"ok": 7, "open": 2, "other": 1}),
    ],
)
def test_counts_as_a_line_of_text_come_back_as_they_were(counts: ArmCounts) -> None:
    """Exact, and empty for nothing."""
    assert from_line(to_line(counts)) == counts
    assert bool(to_line(counts)) == (counts != ArmCounts())


def test_only_requests_that_say_something_of_the_model_are_evidence() -> None:
    """Clients' mistakes and clients that left are not; what the door refuses is a failure."""
    counts = ArmCounts({"ok": 5, "timeout": 1, "client_error": 9, "too_long": 9, "hung_up": 9, "open": 2, "full": 1})
    assert (counts.requests, counts.errors, counts.drawn) == (9, 4, 36)
