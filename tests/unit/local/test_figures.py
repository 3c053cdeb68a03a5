"""The filter's metrics → the rows that people see."""

from decimal import Decimal

from pydantic import SecretStr

from turnout.api import Delivery
from turnout.api.modelgroup_status import CircuitState
from turnout.decide.ir import Circuit, Endpoint, Group, Lane, Member, Price, Router
from turnout.infra.observation import GroupFigures, LaneState, ModelFigures, Observation, Refusal
from turnout.local.figures import Figures
from turnout.observe.scrape import samples

LANE = Lane(
    id="m-1",
    endpoint=Endpoint(tls=False, host="a", port=1),
    prefix="/v1",
    upstream_name="m",
    credential=SecretStr("hidden"),
)
MEMBER = Member(
    name="m",
    lane=LANE,
    fallback=True,
    circuit=Circuit(failures=5, recovery_ms=1, half_open_requests=1, ramp_ms=1),
    price=Price(),
)
ROUTER = Router(
    namespace="ai",
    groups=(
        Group(
            name="g",
            members=(MEMBER,),
            attempts_per_model=1,
            delivery=Delivery.LIVE,
            first_token_ms=1,
            idle_ms=1,
            request_ms=1,
            total_ms=1,
        ),
    ),
)


def metrics(*, quick: int, slow: int, failed: int) -> str:
    """What a router shows after so many answers of up to 100 ms and of up to 1 s, and so many failures."""
    where = 'group="g",model="m"'
    return f"""\
# TYPE turnout_attempts counter
turnout_attempts{{{where},arm="baseline",attempt="first",result="ok"}} {quick + slow}
turnout_attempts{{{where},arm="baseline",attempt="first",result="server_error"}} {failed}
# TYPE turnout_attempt_milliseconds histogram
turnout_attempt_milliseconds_bucket{{{where},le="75"}} 0
turnout_attempt_milliseconds_bucket{{{where},le="100"}} {quick}
turnout_attempt_milliseconds_bucket{{{where},le="800"}} {quick}
turnout_attempt_milliseconds_bucket{{{where},le="1000"}} {quick + slow}
turnout_attempt_milliseconds_bucket{{{where},le="+Inf"}} {quick + slow}
# TYPE turnout_requests counter
turnout_requests{{group="g",code="2xx"}} {quick + slow}
turnout_requests{{group="g",code="5xx"}} {failed}
turnout_requests{{group="g",code="429"}} 1
turnout_requests{{group="g",code="4xx"}} 1
# TYPE turnout_tokens_in counter
turnout_tokens_in{{{where},key="k"}} 10
# TYPE turnout_tokens_out counter
turnout_tokens_out{{{where},key="k"}} 20
# TYPE turnout_cost_nanousd counter
turnout_cost_nanousd{{{where},key="k"}} 1500000000
"""


def test_a_router_without_traffic_has_empty_rows() -> None:
    """Zeroes, and no latency where nothing was measured."""
    row = Figures().rows(ROUTER, Observation())[0]
    assert (row.name, row.requests, row.errors, row.fell_back) == ("g", 0, 0, 0)
    assert (row.models[0].attempts, row.models[0].p95_ms, row.models[0].circuit) == (0, None, CircuitState.CLOSED)


def test_counts_are_since_the_start() -> None:
    """Requests, errors that clients saw, attempts, tokens and dollars; a client's own mistake is no error."""
    figures = Figures()
    figures.add(samples(metrics(quick=8, slow=2, failed=3)), at=0)
    row = figures.rows(ROUTER, Observation())[0]
    assert (row.requests, row.errors) == (15, 4)
    model = row.models[0]
    assert (model.attempts, model.failed, model.tokens, model.usd) == (13, 3, 30, 1.5)


def test_latency_is_that_of_the_last_minute() -> None:
    """Once the answers are quick again, so is p50, however slow the first thousand were; without traffic it stays."""
    figures = Figures()
    for at, quick in ((0, 0), (30, 0), (61, 50), (100, 100)):
        figures.add(samples(metrics(quick=quick, slow=1000, failed=0)), at=at)
    assert (figures.rows(ROUTER, Observation())[0].models[0].p50_ms or 0) <= 100
    figures.add(samples(metrics(quick=100, slow=1000, failed=0)), at=300)
    figures.add(samples(metrics(quick=100, slow=1000, failed=0)), at=400)
    assert (figures.rows(ROUTER, Observation())[0].models[0].p50_ms or 0) > 100


def test_circuit_and_refusal_are_those_of_the_lane() -> None:
    """As the filter tells them."""
    state = LaneState("m-1", CircuitState.OPEN, Refusal(401, "no such key", 5))
    model = Figures().rows(ROUTER, Observation((state,)))[0].models[0]
    assert (model.circuit, model.refusal) == (CircuitState.OPEN, state.refusal)


def test_health_is_that_of_the_status() -> None:
    """Out of the sampler's figures and the lane; unknown while nothing is known."""
    lane = LaneState("m-1", CircuitState.CLOSED)
    measured = {"g": GroupFigures(models={"m": ModelFigures(Decimal(9), error_rate=Decimal("0.25"))})}
    assert Figures().rows(ROUTER, Observation((lane,)))[0].models[0].health is None
    assert Figures().rows(ROUTER, Observation((lane,), measured))[0].models[0].health == 75
