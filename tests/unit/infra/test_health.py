"""Health in percent: the formula, and what holds for whatever goes into it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.api.modelgroup_status import CircuitState
from turnout.infra.health import health
from turnout.infra.observation import NO_TRAFFIC, LaneState, ModelFigures

SHARES = st.decimals(0, 1, places=3)
SOME_MS = st.decimals("0.1", 3_600_000, places=1)
MILLISECONDS = st.none() | st.just(Decimal(0)) | SOME_MS
LANES = st.lists(
    st.builds(
        LaneState,
        lane=st.just("a"),
        circuit=st.sampled_from(CircuitState),
        warmed_ms=st.integers(0, 2),
        warm_fault=st.none() | st.just("503"),
    ),
    max_size=4,
)
CLOSED, HALF_OPEN, OPEN = (LaneState("a", CircuitState(state)) for state in ("Closed", "HalfOpen", "Open"))


def figures(error_rate: Decimal | None, per_answer_ms: Decimal | None = None) -> ModelFigures:
    """Figures of a model that fails so often and takes so long."""
    return replace(NO_TRAFFIC, error_rate=error_rate, per_answer_ms=per_answer_ms)


def found(failed: str, lane: LaneState = CLOSED, per_answer_ms: int | None = None, usual_ms: int = 400) -> int | None:
    """Health on one router, of a model that usually takes 400 ms."""
    taken = None if per_answer_ms is None else Decimal(per_answer_ms)
    return health(figures(Decimal(failed), taken), [lane], Decimal(usual_ms))


@given(st.none() | SHARES, MILLISECONDS, MILLISECONDS, LANES)
def test_health_is_a_percentage(
    failed: Decimal | None, taken: Decimal | None, usual: Decimal | None, lanes: list[LaneState]
) -> None:
    """Whatever was measured, it is 0 to 100, or unknown."""
    result = health(figures(failed, taken), lanes, usual)
    assert result is None or 0 <= result <= 100


@given(SHARES, SHARES, MILLISECONDS, MILLISECONDS, LANES)
def test_more_errors_never_make_it_healthier(
    one: Decimal, other: Decimal, taken: Decimal | None, usual: Decimal | None, lanes: list[LaneState]
) -> None:
    """All else equal."""
    fewer, more = (health(figures(failed, taken), lanes, usual) for failed in sorted((one, other)))
    assert fewer is not None
    assert more is not None
    assert more <= fewer


@given(SHARES, SOME_MS, SOME_MS, MILLISECONDS, LANES)
def test_slower_answers_never_make_it_healthier(
    failed: Decimal, one: Decimal, other: Decimal, usual: Decimal | None, lanes: list[LaneState]
) -> None:
    """All else equal."""
    faster, slower = (health(figures(failed, taken), lanes, usual) for taken in sorted((one, other)))
    assert faster is not None
    assert slower is not None
    assert slower <= faster


@given(st.none() | SHARES, MILLISECONDS, MILLISECONDS, LANES)
def test_one_open_circuit_is_no_health_and_one_half_open_is_half_at_most(
    failed: Decimal | None, taken: Decimal | None, usual: Decimal | None, lanes: list[LaneState]
) -> None:
    """On whichever router, and however well the model did before."""
    assert health(figures(failed, taken), [*lanes, OPEN], usual) == 0
    half = health(figures(failed, taken), [*lanes, HALF_OPEN], usual)
    assert half is None or half <= 50


def test_as_always_is_100() -> None:
    """Without errors, and with answers up to one and a half times the usual."""
    assert found("0") == 100
    assert found("0", per_answer_ms=600) == 100
    assert found("0", per_answer_ms=40) == 100


def test_errors_and_slowness_take_their_share() -> None:
    """Half of the attempts failed, or three times the usual: half the health; both: a quarter."""
    assert found("0.5") == 50
    assert found("0", per_answer_ms=1200) == 50
    assert found("0.5", per_answer_ms=1200) == 25
    assert found("0.02", HALF_OPEN) == 50
    assert found("1") == 0


@pytest.mark.parametrize(
    ("lanes", "expected"),
    [
        ([], None),
        ([CLOSED], None),
        ([HALF_OPEN], None),
        ([OPEN], 0),
        ([replace(CLOSED, warmed_ms=5)], 100),
        ([replace(CLOSED, warmed_ms=5, warm_fault="401")], 0),
        ([replace(CLOSED, warmed_ms=5, warm_fault="401"), replace(CLOSED, warmed_ms=4), CLOSED], 50),
    ],
)
def test_without_traffic_warm_ups_tell(lanes: list[LaneState], expected: int | None) -> None:
    """The share of routers whose last one went well; nothing at all is no evidence, but for an open circuit."""
    assert health(NO_TRAFFIC, lanes, None) == expected
