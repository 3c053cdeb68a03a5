"""Metrics of routers → counts of arms, and looks at all of them: who is waited for, is silent, or makes no sense."""

from datetime import UTC, datetime

import pytest

from turnout.decide.evidence import Arm, ArmCounts, Latencies
from turnout.infra.pods import RouterPod
from turnout.observe.arms import ArmBook, arm_counts
from turnout.observe.scrape import samples

NOW = datetime(2026, 11, 27, tzinfo=UTC)
TEXT = """
# TYPE turnout_arm_drawn counter
turnout_arm_drawn{group="g",rollout="r",arm="canary"} 9
turnout_arm_drawn{group="g",rollout="r",arm="baseline"} 2
# TYPE turnout_arm_requests counter
turnout_arm_requests{group="g",rollout="r",arm="canary",result="ok"} 3
turnout_arm_requests{group="g",rollout="r",arm="canary",result="open"} 1
turnout_arm_requests{group="g",rollout="r",arm="baseline",result="timeout"} 2
# TYPE turnout_arm_sums counter
turnout_arm_sums{group="g",rollout="r",arm="canary",of="ms"} 600
turnout_arm_sums{group="g",rollout="r",arm="canary",of="ms_squared"} 130000
turnout_arm_sums{group="g",rollout="r",arm="canary",of="priced"} 2
turnout_arm_sums{group="g",rollout="r",arm="canary",of="nanousd"} 33000
turnout_arm_sums{group="g",rollout="r",arm="canary",of="tokens"} 30
turnout_arm_sums{group="g",rollout="r",arm="canary",of="tokens_squared"} 500
turnout_arm_sums{group="g",rollout="r",arm="canary",of="microusd_squared"} 600
turnout_arm_sums{group="g",rollout="r",arm="canary",of="tokens_microusd"} 510
# TYPE turnout_arm_milliseconds histogram
turnout_arm_milliseconds_bucket{group="g",rollout="r",arm="canary",le="150"} 1
turnout_arm_milliseconds_bucket{group="g",rollout="r",arm="canary",le="200"} 2
turnout_arm_milliseconds_bucket{group="g",rollout="r",arm="canary",le="+Inf"} 2
turnout_arm_milliseconds_sum{group="g",rollout="r",arm="canary"} 333
turnout_arm_milliseconds_count{group="g",rollout="r",arm="canary"} 2
# TYPE turnout_attempts counter
turnout_attempts{group="g",model="m",arm="canary",attempt="first",result="ok"} 3
"""


def test_counts_are_those_of_the_filter() -> None:
    """The mean is of counters, which are not behind as histograms are."""
    found = arm_counts(samples(TEXT))
    canary = found["g", "r", Arm.CANARY]
    assert (canary.results, canary.took.sum_ms, canary.took.count) == ({"ok": 3, "open": 1}, 600, 2)
    expected = ArmCounts(
        {"ok": 3, "open": 1},
        Latencies(canary.took.up_to, 600),
        130_000,
        priced=2,
        nano_usd=33_000,
        tokens=30,
        tokens_squared=500,
        micro_usd_squared=600,
        tokens_micro_usd=510,
        pending=5,
    )
    assert canary == expected
    assert found["g", "r", Arm.BASELINE] == ArmCounts({"timeout": 2})


@pytest.mark.parametrize(
    ("drawn", "results", "pending"), [("7", "", 7), ("", "3", 0), ("2", "3", 0)], ids=["nothing-ended", "none", "fewer"]
)
def test_what_is_pending_is_what_was_drawn_and_has_not_ended(drawn: str, results: str, pending: int) -> None:
    """A filter that does not count draws, or did not from the beginning, has none."""
    labels = 'group="g",rollout="r",arm="canary"'
    text = f"# TYPE turnout_arm_drawn counter\nturnout_arm_drawn{{{labels}}} {drawn}\n" if drawn else ""
    text += f'# TYPE turnout_arm_requests counter\nturnout_arm_requests{{{labels},result="ok"}} 3\n' if results else ""
    found = arm_counts(samples(text))["g", "r", Arm.CANARY]
    assert (found.pending, found.drawn) == (pending, pending or 3)


def pod(life: str, *, ready: bool = True, leaving: bool = False) -> RouterPod:
    """A router."""
    return RouterPod("ai", life, "10.0.0.1", life, ready, leaving)


def test_who_was_never_heard_of_is_waited_for_only_if_it_takes_traffic() -> None:
    """One that is on its way out has counted, though this operator may never have heard it."""
    book = ArmBook()
    look = book.look((pod("new", ready=False), pod("old", ready=False, leaving=True), pod("ready")), NOW)
    assert (look.silent, look.unheard) == ({"old", "ready"}, {"new"})


def test_who_was_heard_once_is_waited_for_until_it_is_gone() -> None:
    """Also when it is not ready any more; and nothing is said twice."""
    book = ArmBook()
    book.add("a", samples(TEXT))
    assert book.look((pod("a"),), NOW).said.keys() == {"a"}
    later = book.look((pod("a", ready=False),), NOW)
    assert (later.said, later.silent) == ({}, {"a"})
    assert book.look((), NOW).exist == frozenset()
    assert book.look((pod("a", ready=False),), NOW).exist == frozenset()


def test_what_cannot_be_read_is_told_and_is_no_silence() -> None:
    """Of metrics that are none, and of metrics that the filter never has."""
    book = ArmBook()
    book.add("a", samples(TEXT.replace('arm="canary"', 'arm="third"')))
    book.add("b", samples(TEXT.replace('"ok"} 3', '"ok"} NaN')))
    book.add("c", samples(TEXT.replace('"ok"} 3', '"ok"} +Inf')))
    book.breaks("d", "not Prometheus' text")
    look = book.look(tuple(map(pod, "abcd")), NOW)
    assert look.broken.keys() == set("abcd")
    assert look.said == {}
