"""Figures out of counters, over restarts and missing looks."""

import re
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import turnout
from turnout.api.modelgroup_status import CircuitState
from turnout.infra.health import health
from turnout.infra.observation import LaneState, ModelFigures
from turnout.observe.sample import LEAST_WINDOWS, USUAL_S, WINDOW_S, Sampler
from turnout.observe.scrape import samples
from turnout.observe.tally import FAILURES, NOT_FAILED

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


FIRST = 'group="g",model="m",arm="baseline",attempt="first"'


def minutes_of(attempts: int, failed: int, milliseconds: float, timed: int | None = None) -> str:
    """What a router shows after so many attempts and failures among them; timed ones, by default all, took so long."""
    timed = attempts if timed is None else timed
    return f"""# TYPE turnout_attempts counter
turnout_attempts{{{FIRST},result="ok"}} {attempts - failed}
turnout_attempts{{{FIRST},result="server_error"}} {failed}
# TYPE turnout_attempt_milliseconds histogram
turnout_attempt_milliseconds_bucket{{{FIRST},le="+Inf"}} {timed}
turnout_attempt_milliseconds_sum{{{FIRST}}} {milliseconds}
turnout_attempt_milliseconds_count{{{FIRST}}} {timed}
"""


def model_of(sampler: Sampler, now: float) -> ModelFigures:
    """The figures of the only model."""
    found = sampler.figures(now)
    assert found is not None
    return found["g"].models["m"]


def test_attempts_are_told_apart() -> None:
    """First attempts and fallbacks by model, failures by class, the most frequent first; tokens by minute."""
    failed = "".join(
        f'turnout_attempts{{group="assistant",model="a",arm="canary",attempt="fallback",result="{result}"}} {count}\n'
        for result, count in (("stalled", 9), ("sunspots", 1), ("client_error", 5))
    )
    text = look(30, 10).replace("# TYPE turnout_requests ", f"{failed}# TYPE turnout_requests ")
    found = sampler_with(("r", 0, look(0)), ("r", 60, text)).figures(60)
    assert found is not None
    a, b = (found["assistant"].models[name] for name in ("a", "b"))
    assert (a.first_attempt_share, b.first_attempt_share) == (1, 0)
    assert (a.share, b.share) == (Decimal("0.75"), Decimal("0.25"))
    assert a.errors == (("timeout", Decimal("0.182")), ("stalled", Decimal("0.164")), ("other", Decimal("0.0182")))
    assert a.error_rate == Decimal("0.364")
    assert (a.tokens_per_minute, b.tokens_per_minute) == (30_000, None)


def test_the_time_to_the_first_token_is_that_of_streams() -> None:
    """Its 95th percentile; none where nothing was streamed."""
    streams = """# TYPE turnout_first_token_milliseconds histogram
turnout_first_token_milliseconds_bucket{group="g",model="m",arm="baseline",le="200"} 0
turnout_first_token_milliseconds_bucket{group="g",model="m",arm="baseline",le="300"} 10
turnout_first_token_milliseconds_bucket{group="g",model="m",arm="baseline",le="+Inf"} 10
"""
    text = minutes_of(20, 0, 8000)
    assert model_of(sampler_with(("r", 0, ""), ("r", 60, text + streams)), 60).first_token_p95_ms == 295
    assert model_of(sampler_with(("r", 0, ""), ("r", 60, text)), 60).first_token_p95_ms is None


def test_the_usual_is_the_median_of_the_last_hours() -> None:
    """One slow hour does not change it, and after hours of silence it is forgotten."""
    sampler, attempts, spent, now = Sampler(), 0, 0.0, 0.0
    sampler.add("r", samples(minutes_of(0, 0, 0)), now)
    windows = 24
    for window in range(1, windows + 1):
        now, attempts, spent = window * WINDOW_S, attempts + 100, spent + 100 * (400 if window <= 13 else 4000)
        sampler.add("r", samples(minutes_of(attempts, 0, spent)), now)
        assert (model_of(sampler, now).usual_ms is not None) == (window >= LEAST_WINDOWS)
    assert model_of(sampler, now).per_answer_ms == 4000
    assert model_of(sampler, now).usual_ms == 400
    later = now + USUAL_S
    sampler.add("r", samples(minutes_of(attempts, 0, spent)), later - WINDOW_S)
    sampler.add("r", samples(minutes_of(attempts + 100, 0, spent + 100)), later)
    assert model_of(sampler, later).usual_ms is None


def test_a_handful_of_attempts_says_nothing_about_speed() -> None:
    """Answers differ tenfold in length."""
    few = model_of(sampler_with(("r", 0, ""), ("r", 60, minutes_of(9, 0, 9000))), 60)
    enough = model_of(sampler_with(("r", 0, ""), ("r", 60, minutes_of(10, 5, 9000))), 60)
    assert (few.per_answer_ms, enough.per_answer_ms) == (None, 1800)


def test_histograms_that_lag_behind_do_not_make_a_model_look_fast() -> None:
    """Envoy counts at once, but merges histograms every few seconds."""
    half = model_of(sampler_with(("r", 0, ""), ("r", 60, minutes_of(20, 10, 4000, timed=10))), 60)
    none = model_of(sampler_with(("r", 0, ""), ("r", 60, minutes_of(20, 10, 0, timed=0))), 60)
    assert (half.per_answer_ms, none.per_answer_ms) == (800, None)


@given(st.integers(1, 400), st.integers(0, 400), st.integers(0, 400), st.integers(0, 600_000), st.booleans())
def test_more_errors_never_make_a_model_healthier(
    attempts: int, failed: int, more: int, spent: int, instead: bool
) -> None:
    """Whether they come on top, however quick they are, or in place of answers."""
    failed, lane = min(failed, attempts), LaneState("m", CircuitState.CLOSED)

    def found(attempts: int, failed: int) -> int:
        sampler = sampler_with(("r", 0, ""), ("r", 60, minutes_of(attempts, failed, spent)))
        result = health(model_of(sampler, 60), [lane], Decimal(300))
        assert result is not None
        return result

    worse = found(attempts, min(attempts, failed + more)) if instead else found(attempts + more, failed + more)
    assert worse <= found(attempts, failed)


def test_every_result_of_the_filter_has_its_class() -> None:
    """What the filter calls an attempt's end, or its lack, is no failure, or one of those that are told apart."""
    sources = [(Path(turnout.__file__).parent / f"filter/src/{name}.rs").read_text() for name in ("metrics", "arm")]
    words = set(re.findall(r'(?:Outcome::[A-Za-z]+ =>|UNASKED: &str =) "([a-z_]+)"', "".join(sources)))
    assert {"ok", "unasked"} < words
    assert words == NOT_FAILED | set(FAILURES) - {"other"}
