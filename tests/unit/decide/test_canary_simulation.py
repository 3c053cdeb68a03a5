"""The bench's simulation, in short: days of traffic with bursts, slow times and outages, and the real decisions."""

import pytest

from bench.bench_canary import BEGINNINGS, EQUAL, WORSE, Case, simulate


@pytest.mark.parametrize("case", EQUAL[:2], ids=lambda case: f"{case.rate}-a-second")
def test_an_equal_canary_is_not_sent_back(case: Case) -> None:
    """Ten days with gates that allow no difference at all; the usual tests, looked at as often, send some back."""
    results = [simulate(case, seed) for seed in range(10)]
    assert all(result.back_s is None for result in results)
    assert any(result.fixed for result in results)


@pytest.mark.parametrize(
    ("name", "gate", "most"),
    [
        ("errors 1 % → 5 %", "ErrorRate", 3_000),
        ("errors 1 % → 50 %", "ErrorRate", 30),
        ("p95 × 1.5", "P95Latency", 10_000),
        ("mean × 1.3", "MeanLatency", 5_000),
        ("cost × 2", "Cost", 300),
    ],
)
def test_a_worse_canary_is_sent_back_for_what_is_worse(name: str, gate: str, most: int) -> None:
    """Each of three days, after no more than so many requests of the canary."""
    case = next(one for one in WORSE if one.name == name)
    for result in (simulate(case, seed) for seed in range(3)):
        assert gate in result.gates
        assert result.requests <= most


@pytest.mark.parametrize("case", BEGINNINGS, ids=lambda case: f"{case.name}, {case.weight} %")
def test_failures_that_come_sooner_than_answers_or_later_are_no_more_than_they_are(case: Case) -> None:
    """In the beginning of a step, too, when little has ended: what is allowed stays, and a gross failure is caught."""
    results = [simulate(case, seed) for seed in range(10)]
    if case.canary.errors == 0.5:
        assert {result.gates for result in results} == {("ErrorRate",)}
        assert max(result.requests for result in results) < 100
    else:
        assert all(result.back_s is None for result in results)
