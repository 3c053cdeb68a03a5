"""Gates: what each says of the same evidence, and what it lacks; spans of time in which weights do not rise."""

import json
from dataclasses import replace
from datetime import datetime

import pytest

from harness.rollouts import ALL_GATES, answers
from turnout.api.canaryrollout import Freeze, Gates
from turnout.api.canaryrollout_status import Gate, GateStatus, GateVerdict
from turnout.decide.canary.freeze import frozen_until, unknown_zone
from turnout.decide.canary.gates import judge
from turnout.decide.canary.telling import gate_status
from turnout.decide.evidence import ArmCounts

GATES = Gates.model_validate(ALL_GATES)
MANY = answers(20_000, 200)


def early(failed: int, pending: int, *, ok: int = 0) -> ArmCounts:
    """In the beginning of a period."""
    return replace(answers(ok, failed), pending=pending)


@pytest.mark.parametrize(
    ("gate", "canary", "baseline", "verdict", "said"),
    [
        (Gate.ERROR_RATE, answers(990, 10), answers(990, 10), "Undecided", "1 % against 1 %"),
        (Gate.ERROR_RATE, MANY, MANY, "Pass", "surely not more than the 1 allowed"),
        (Gate.ERROR_RATE, answers(950, 50), MANY, "Breach", "surely more than the 1 allowed"),
        (Gate.ERROR_RATE, ArmCounts(), MANY, "Undecided", "the canary has 0 requests; 1 are needed"),
        (Gate.MEAN_LATENCY, answers(1_000, ms=1_400), MANY, "Breach", "surely more than the 1.2 allowed"),
        (Gate.MEAN_LATENCY, answers(1_000, ms=950), MANY, "Pass", "a ratio of"),
        (
            Gate.MEAN_LATENCY,
            answers(49),
            answers(3),
            "Undecided",
            "canary has 49 answers and the baseline has 3 answers",
        ),
        (Gate.MEAN_LATENCY, answers(60, ms=0), MANY, "Undecided", "answers that take less than a millisecond"),
        (Gate.P95_LATENCY, answers(1_000, ms=1_400), MANY, "Breach", "p95 latency"),
        (Gate.P95_LATENCY, answers(40, ms=900), MANY, "Undecided", "to anything"),
        (Gate.P95_LATENCY, ArmCounts({"timeout": 40}), MANY, "Undecided", "the canary has 0 answers"),
        (Gate.COST, answers(60, usd=1.7), MANY, "Breach", "0.0017 USD against 0.001 USD"),
        (Gate.COST, answers(60, usd=1.1), MANY, "Pass", "surely not more"),
        (
            Gate.COST,
            replace(answers(900), priced=0, tokens=0, nano_usd=0),
            MANY,
            "Undecided",
            "0 answers with known cost",
        ),
        (Gate.COST, answers(900, usd=0), MANY, "Undecided", "a model without price cannot be compared"),
    ],
)
def test_a_verdict_is_what_is_sure(gate: Gate, canary: ArmCounts, baseline: ArmCounts, verdict: str, said: str) -> None:
    """With bounds in its words, or with what is missing for any."""
    found = {j.gate: j for j in judge(GATES, canary=canary, baseline=baseline, periods=4)}[gate]
    told = gate_status(found)
    assert (found.verdict, told.verdict) == (GateVerdict(verdict), GateVerdict(verdict))
    assert said in (told.message or "")
    assert (found.bounds is None) == bool(found.lacks) == (told.low is None and told.high is None)


@pytest.mark.parametrize(
    ("canary", "baseline", "verdict", "said"),
    [
        (early(9, 991), early(1, 999), "Undecided", "100 % against 100 %"),
        (early(20, 980, ok=10), early(0, 1_000, ok=100), "Undecided", "66.7 % against 0 %"),
        (early(12, 12), early(0, 1_000), "Breach", "100 % against nothing"),
        (early(12, 12), early(1, 999), "Breach", "100 % against 100 %"),
        (early(300, 0, ok=300), early(300, 3_000), "Breach", "50 % against 100 %"),
        (early(60, 1_940), early(0, 2_000), "Undecided", "100 % against nothing"),
        (early(0, 1_000), early(0, 0), "Undecided", "the baseline has 0 requests; 1 are needed"),
        (early(0, 1_000), early(0, 10, ok=10_000), "Undecided", "nothing against 0 %"),
    ],
    ids=["within", "slow-answers", "gross", "gross-and-one", "half", "slow-failures", "no-baseline", "no-end"],
)
def test_what_is_pending_has_not_failed(canary: ArmCounts, baseline: ArmCounts, verdict: str, said: str) -> None:
    """At the canary; at the baseline it may have, up to a twentieth of all. For a pass it must have ended."""
    [found] = judge(Gates(), canary=canary, baseline=baseline, periods=1)
    assert (found.verdict, said in (gate_status(found).message or "")) == (GateVerdict(verdict), True)
    assert not found.bounds or found.bounds.low <= found.bounds.high


def test_a_canary_that_may_be_better_has_a_negative_bound() -> None:
    """In its status as in its words: 0 would say that it is surely no better."""
    [found] = judge(Gates(), canary=answers(990, 10), baseline=answers(950, 50), periods=1)
    assert found.bounds is not None
    told = gate_status(found)
    assert told.low is not None
    assert float(told.low) == pytest.approx(found.bounds.low, rel=1e-3)
    assert f"a difference of {100 * found.bounds.low:.3g} to" in (told.message or "")
    assert json.loads(told.model_dump_json())["low"] == str(told.low)
    assert GateStatus.model_validate_json(told.model_dump_json()) == told


def test_only_gates_that_are_set_are_looked_at_and_each_more_makes_all_of_them_less_sure() -> None:
    """What confidence leaves is shared out to gates and steps."""
    few = Gates.model_validate({"errorRate": {"maxIncrease": "0.01"}})
    widths = []
    for gates, periods in ((few, 1), (GATES, 1), (GATES, 10)):
        found = judge(gates, canary=answers(950, 50), baseline=MANY, periods=periods)
        assert len(found) == (1 if gates is few else 4)
        assert found[0].bounds is not None
        widths.append(found[0].bounds.high - found[0].bounds.low)
    assert widths == sorted(widths)
    assert len(set(widths)) == 3


@pytest.mark.parametrize(
    ("canary", "baseline", "verdict", "said"),
    [
        (1, 1, "Undecided", "a ratio of 0 to anything"),
        (900, 1, "Breach", "a ratio of 1.03e+03 to anything"),
        (1, 900, "Pass", "a ratio of 0 to 0.0"),
        (7_200_000, 7_200_000, "Undecided", "to anything"),
        (7_200_000, 900, "Breach", "to anything"),
    ],
)
def test_a_p95_beyond_the_buckets_is_known_by_their_bounds(canary: int, baseline: int, verdict: str, said: str) -> None:
    """Below the first it may be as good as nothing, above the last it may be anything."""
    arms = [answers(20_000, ms=ms) for ms in (canary, baseline)]
    found = {j.gate: j for j in judge(GATES, canary=arms[0], baseline=arms[1], periods=4)}[Gate.P95_LATENCY]
    assert found.verdict == GateVerdict(verdict)
    assert said in (gate_status(found).message or "")


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-27T14:59:59Z", None),
        ("2026-11-27T15:00:00Z", "2026-11-30T07:00:00Z"),
        ("2026-11-30T06:59:59Z", "2026-11-30T07:00:00Z"),
        ("2026-11-30T07:00:00Z", None),
        ("2026-12-19T23:59:59Z", "2026-12-21T07:00:00Z"),
        ("2026-12-24T12:00:00Z", "2027-01-03T00:00:00Z"),
        ("2027-03-27T12:00:00Z", "2027-03-29T06:00:00Z"),
    ],
    ids=["before", "first", "last", "after", "weekly", "dates", "over-the-change-to-summer-time"],
)
def test_a_freeze_holds_from_its_first_moment_to_before_its_last(now: str, until: str | None) -> None:
    """Weekly by the clock of its time zone, and by dates."""
    weekly = {"from": "Fri 16:00", "to": "Mon 08:00", "timeZone": "Europe/Berlin"}
    dates = {"from": "2026-12-20T00:00:00Z", "to": "2027-01-03T00:00:00Z"}
    freezes = [Freeze.model_validate(one) for one in (weekly, dates)]
    found = frozen_until(freezes, datetime.fromisoformat(now))
    assert found == (datetime.fromisoformat(until) if until else None)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "Mars/Phobos", "../etc/passwd"])
def test_a_time_zone_that_does_not_exist_is_found(zone: str) -> None:
    """The API server cannot know."""
    freeze = Freeze.model_construct(start="Fri 16:00", end="Mon 08:00", time_zone=zone)
    assert unknown_zone([freeze]) == (None if zone in {"Europe/Berlin", "UTC"} else zone)
