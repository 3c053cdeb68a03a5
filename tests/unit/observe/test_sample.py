"""Figures out of counters, over restarts and missing looks."""

from decimal import Decimal

from turnout.observe.sample import WINDOW_S, Sampler
from turnout.observe.scrape import samples

TEXT = """# TYPE turnout_attempts counter
turnout_attempts{{group="assistant",model="a",arm="baseline",attempt="first",result="ok"}} {ok}
turnout_attempts{{group="assistant",model="a",arm="baseline",attempt="first",result="timeout"}} {failed}
turnout_attempts{{group="assistant",model="a",arm="baseline",attempt="first",result="hung_up"}} 0
turnout_attempts{{group="assistant",model="b",arm="baseline",attempt="fallback",result="ok"}} {failed}
# TYPE turnout_requests counter
turnout_requests{{group="assistant",code="2xx"}} {requests}
# TYPE turnout_fallback_requests counter
turnout_fallback_requests{{group="assistant"}} {failed}
# TYPE turnout_tokens_in counter
turnout_tokens_in{{group="assistant",model="a",key="app"}} {ok}000
# TYPE turnout_cost_nanousd counter
turnout_cost_nanousd{{group="assistant",model="a",key="app"}} {ok}000000
# TYPE turnout_attempt_milliseconds histogram
turnout_attempt_milliseconds_bucket{{group="assistant",model="a",arm="baseline",attempt="first",le="100"}} {ok}
turnout_attempt_milliseconds_bucket{{group="assistant",model="a",arm="baseline",attempt="first",le="150"}} {requests}
turnout_attempt_milliseconds_bucket{{group="assistant",model="a",arm="baseline",attempt="first",le="+Inf"}} {requests}
turnout_attempt_milliseconds_sum{{group="assistant",model="a",arm="baseline",attempt="first"}} {requests}00
turnout_attempt_milliseconds_count{{group="assistant",model="a",arm="baseline",attempt="first"}} {requests}
"""


def look(ok: int, failed: int = 0) -> str:
    """What a router shows after so many answers, and so many failures that model b made good."""
    return TEXT.format(ok=ok, failed=failed, requests=ok + failed)


def sampler_with(*looks: tuple[str, float, str]) -> Sampler:
    """A sampler that saw these routers at these seconds."""
    sampler = Sampler()
    for life, at, text in looks:
        sampler.add(life, samples(text), at)
    return sampler


def test_figures_are_what_happened_between_looks() -> None:
    """What a router had counted before the first look is not news."""
    found = sampler_with(("r", 0, look(1000)), ("r", 60, look(1030, 10))).figures(60)
    assert found is not None
    group = found["assistant"]
    assert group.fallback_share == Decimal("0.25")
    model = group.models["a"]
    assert model.requests_per_minute == Decimal(40)
    assert (model.share, model.error_rate) == (Decimal("0.75"), Decimal("0.25"))
    assert (model.mean_ms, model.cost_per_1k_tokens) == (Decimal(100), Decimal("0.001"))
    assert model.p95_ms is not None
    assert 100 < model.p95_ms < 150


def test_a_restarted_router_begins_at_zero() -> None:
    """A new life, or counters that fell, count from zero; nothing is ever negative."""
    other_life = sampler_with(("r/0", 0, look(100)), ("r/1", 30, look(10)), ("r/1", 60, look(30))).figures(60)
    fallen = sampler_with(("r", 0, look(100)), ("r", 60, look(30))).figures(60)
    assert other_life is not None
    assert fallen is not None
    assert other_life["assistant"].models["a"].requests_per_minute == 30
    assert fallen["assistant"].models["a"].requests_per_minute == 30


def test_a_missed_look_loses_nothing() -> None:
    """The next one catches up."""
    found = sampler_with(("r", 0, look(0)), ("q", 30, look(0)), ("r", 60, look(60))).figures(60)
    assert found is not None
    assert found["assistant"].models["a"].requests_per_minute == 60


def test_too_little_time_or_too_short_a_silence_tells_nothing() -> None:
    """A fresh operator does not know that there was no traffic before it came."""
    assert sampler_with(("r", 0, look(0)), ("r", 5, look(5))).figures(5) is None
    silent = sampler_with(("r", 0, look(7)), ("r", 60, look(7)))
    assert silent.figures(60) is None
    silent.add("r", samples(look(7)), WINDOW_S + 1)
    assert silent.figures(WINDOW_S + 1) == {}


def test_old_looks_and_gone_routers_are_forgotten() -> None:
    """Figures are of the window, not of all time."""
    sampler = sampler_with(("r", 0, look(0)), ("r", 60, look(600)))
    for minute in range(2, 9):
        sampler.add("r", samples(look(600)), minute * 60)
    assert sampler.figures(8 * 60) == {}
    sampler.keep(set())
    assert sampler.figures(8 * 60) == {}


def test_no_metrics_yet_are_no_error() -> None:
    """A router without traffic shows nothing at all."""
    assert sampler_with(("r", 0, ""), ("r", WINDOW_S, "")).figures(WINDOW_S) == {}
