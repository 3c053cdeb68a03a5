"""The evidence of a step: each request once, whatever happens to routers, and what is missing said."""

from dataclasses import replace

import pytest

from harness.rollouts import NOW, answers
from turnout.decide.canary.compact import from_line, to_line
from turnout.decide.canary.ledger import Broken, Ledger, Missing
from turnout.decide.evidence import Arm, ArmCounts, Latencies, Look, Where

HERE = ("assistant", "run-1")
CANARY: Where = (*HERE, Arm.CANARY)
Said = dict[str, int]
"""Life → canary requests that it says it has counted; -1: silent, -2: broken."""


def look(said: Said) -> Look:
    """All routers at one moment; who is not named does not exist."""
    heard = {life: {CANARY: answers(n)} if n else {} for life, n in said.items() if n >= 0}
    return Look(NOW, frozenset(said), heard, {life: "no text" for life, n in said.items() if n == -2})


def book(*looks: Said) -> Ledger:
    """After these looks in one period."""
    ledger = Ledger(1)
    for one in looks:
        ledger = ledger.looked(look(one), *HERE)
    return ledger


@pytest.mark.parametrize(
    ("looks", "counted", "missing"),
    [
        ([{"a": 10}], 10, Missing()),
        ([{"a": 10}, {"a": 15}, {"a": 15}], 15, Missing()),
        ([{"a": 10}, {"a": 15, "b": 7}], 22, Missing()),
        ([{"a": 10}, {"a": -1}, {"a": -1}, {"a": 30}], 30, Missing()),
        ([{"a": 10}, {"a": -1}], 10, Missing(frozenset("a"))),
        ([{"a": 10}, {"a": 30}, {"b": 4}], 34, Missing(gone=1)),
        ([{"a": 10}, {"a": -1}, {"b": 4}], 14, Missing(gone=1)),
        ([{"a": 10}, {"a": 4}], 14, Missing()),
        ([{"a": 10}, {"a": 0}, {"a": 3}], 13, Missing()),
        ([{"a": 10, "b": -1}, {"a": 11, "b": 50}, {"a": 11, "b": 51}], 62, Missing()),
        ([{"a": 10}, {"a": -2}, {"a": 12}], 12, Missing()),
    ],
    ids=[
        "first-look",
        "same-look-twice",
        "new-router",
        "silent-catches-up",
        "silent",
        "gone",
        "silent-and-gone",
        "counter-fell",
        "counter-fell-to-nothing",
        "silent-from-the-beginning",
        "broken-catches-up",
    ],
)
def test_each_request_counts_once(looks: list[Said], counted: int, missing: Missing) -> None:
    """A counter is what it was at the last look of that router, plus what came since."""
    found = book(*looks)
    assert (found.canary.requests, found.missing) == (counted, missing)
    assert found.canary.took.count == counted
    assert found.marks.keys() == looks[-1].keys(), "of routers that are gone nothing is kept"


def test_what_was_drawn_in_a_period_before_counts_for_nothing_whenever_it_ends() -> None:
    """Nor does it hide what counts; a router that was silent over the beginning has all of its own counted."""
    ledger = book({"a": 10, "b": 10}).next_period(alone=False)
    assert (ledger.canary, ledger.open, ledger.marks) == (ArmCounts(), False, {"a": {}, "b": {}})
    tags = {CANARY: answers(500), ("assistant", "run-2", Arm.CANARY): answers(3)}
    ledger = ledger.looked(Look(NOW, frozenset("ab"), {"a": {**tags, CANARY: answers(90)}}), "assistant", "run-2")
    assert (ledger.canary.requests, ledger.missing.silent) == (3, {"b"})
    ledger = ledger.looked(Look(NOW, frozenset("ab"), dict.fromkeys("ab", tags)), "assistant", "run-2")
    assert (ledger.canary.requests, ledger.missing) == (6, Missing())


def test_a_router_that_is_cut_off_when_the_operator_begins_anew_counts_nothing_twice() -> None:
    """Its pod is there, not ready, and never answered this operator: it is silent and not gone."""
    ledger = book({"a": 10}, {"a": 15})
    cut_off = ledger.looked(Look(NOW, unheard=frozenset({"a", "never-heard-of"})), *HERE)
    assert cut_off.missing == Missing(frozenset("a"))
    back = cut_off.looked(look({"a": 18}), *HERE)
    assert (back.canary.requests - ledger.canary.requests, back.missing) == (3, Missing())
    assert ledger.looked(Look(NOW), *HERE).missing == Missing(gone=1)


@pytest.mark.parametrize(
    ("looks", "pending", "drawn"),
    [
        ([{"a": (2, 8)}], 8, 10),
        ([{"a": (2, 8)}, {"a": (10, 0)}], 0, 10),
        ([{"a": (2, 8), "b": (0, 5)}, {"a": (9, 4), "b": (5, 1)}], 5, 19),
        ([{"a": (2, 8)}, {"a": None}], 8, 10),
        ([{"a": (2, 8), "b": (0, 5)}, {"b": (3, 2)}], 2, 7),
        ([{"a": (2, 8)}, {"a": (1, 3)}], 3, 6),
        ([{"a": (2, 0)}, {"a": (2, 8)}], 8, 10),
    ],
    ids=["first-look", "ended", "two-routers", "silent", "gone", "began-anew", "first-told-under-way"],
)
def test_what_is_pending_is_drawn_until_its_router_is_gone(
    looks: list[dict[str, tuple[int, int] | None]], pending: int, drawn: int
) -> None:
    """A router that ends, or begins anew, takes with it what it had not answered: it was never drawn, so to say."""
    ledger = Ledger(1)
    for one in looks:
        counts = {life: replace(answers(told[0]), pending=told[1]) for life, told in one.items() if told}
        said = {life: {CANARY: count} for life, count in counts.items()}
        ledger = ledger.looked(Look(NOW, frozenset(one), said), *HERE)
    assert (ledger.canary.pending, ledger.canary.drawn) == (pending, drawn)
    assert (ledger.broken, ledger.marks.keys()) == (Broken(), looks[-1].keys())


def test_what_is_pending_when_a_period_ends_is_nothing_of_what_the_baseline_did() -> None:
    """Its answers count for no period."""
    ledger = Ledger(1, baseline=replace(answers(10), pending=5)).next_period(alone=True)
    assert ledger.compared == answers(10)


def test_counts_that_cannot_be_are_left_out_and_said() -> None:
    """They count when they make sense again."""
    odd = replace(answers(20), tokens=-5)
    ledger = book({"a": 10}).looked(Look(NOW, frozenset("a"), {"a": {CANARY: odd}}), *HERE)
    assert (ledger.canary.requests, ledger.broken) == (10, Broken(1, True, "router a, canary: a count is negative"))
    ledger = ledger.looked(look({"a": 30}), *HERE)
    assert (ledger.canary.requests, ledger.broken.now, ledger.broken.looks) == (30, False, 1)


def test_what_the_baseline_did_is_kept_over_periods_while_it_is_the_same() -> None:
    """The last step, in which it does nothing, is compared with that."""
    ledger, said = Ledger(1), {}
    for step in range(3):
        said["assistant", f"run-{step}", Arm.BASELINE] = answers(10)
        ledger = ledger.looked(Look(NOW, frozenset("a"), {"a": said}), "assistant", f"run-{step}")
        ledger = ledger.next_period(alone=False)
    assert (ledger.earlier.requests, ledger.baseline.requests) == (30, 0)
    assert ledger.next_period(alone=True, same_models=False).earlier == ArmCounts()


@pytest.mark.parametrize(
    "counts",
    [
        ArmCounts(),
        answers(3, 4),
        replace(answers(3), pending=5),
        replace(answers(7), first_token=Latencies(tuple(range(39)), 123_456), results={"ok": 7, "open": 2, "other": 1}),
    ],
)
def test_counts_as_a_line_of_text_come_back_as_they_were(counts: ArmCounts) -> None:
    """Exact, and empty for nothing."""
    assert from_line(to_line(counts)) == counts
    assert bool(to_line(counts)) == (counts != ArmCounts())


def test_only_requests_that_say_something_of_the_model_are_evidence() -> None:
    """Clients' mistakes and clients that left are not, nor is what is pending; what the door refuses is a failure."""
    counts = ArmCounts({"ok": 5, "timeout": 1, "client_error": 9, "too_long": 9, "hung_up": 9, "open": 2, "full": 1})
    counts += ArmCounts({"unasked": 9}, pending=3)
    assert (counts.requests, counts.errors, counts.drawn) == (9, 4, 48)
