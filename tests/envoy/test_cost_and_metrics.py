"""What a request cost, to the picodollar, and what the router counts: exact names, bounded labels."""

import re
import time
from decimal import Decimal

import httpx
import pytest

from harness.asking import post
from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve, eventually
from harness.wire import DONE, END, ROLE, Step, Wire, chunk, completion, event, stream, whole

PATIENT = {"circuit": {"failures": 1000}}
SPEC = {**PATIENT, "timeouts": {"firstToken": "800ms", "idle": "800ms", "request": "800ms"}}
PRICE = {"input": "0.14", "output": "0.42", "cachedInput": "0.014"}


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """Models with prices of every kind."""
    at = {"price": PRICE}
    return serve(
        group("assistant", model("wire", wire.url, **at), {**trio.two.manifest, **at}, **SPEC),
        group("odd", model("odd", wire.url, price={"input": "0.000001", "output": "999999"}), **SPEC),
        group("plain", model("plain", wire.url, price={"input": "2.5", "output": "8"}), **SPEC),
        group("free", model("free", wire.url), **PATIENT),
        group("unpriced", model("unpriced", wire.url), **PATIENT),
        key("app"),
        key("billing"),
        *trio.secrets,
    )


@pytest.fixture(scope="module")
def http(router: Router) -> httpx.Client:
    """A client with a good key."""
    return router.http()


USAGES = {
    "OpenAI": ({"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}, (1000, 0, 50)),
    "OpenAI, cached": (
        {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 400}},
        (1000, 400, 50),
    ),
    "DeepSeek, cached": (
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "prompt_cache_hit_tokens": 400,
            "prompt_cache_miss_tokens": 600,
        },
        (1000, 400, 50),
    ),
    "responses": (
        {"input_tokens": 1000, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 50},
        (1000, 3, 50),
    ),
    "reasoning is part of the completion": (
        {
            "prompt_tokens": 7,
            "completion_tokens": 900,
            "completion_tokens_details": {"reasoning_tokens": 850, "audio_tokens": 1},
        },
        (7, 0, 900),
    ),
    "more cached than read": (
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}},
        (5, 5, 1),
    ),
    "a great many": ({"prompt_tokens": 123456789, "completion_tokens": 987654321}, (123456789, 0, 987654321)),
}


@pytest.mark.parametrize("case", USAGES)
def test_cost_is_exact(http: httpx.Client, wire: Wire, case: str) -> None:
    """x-token-cost is the exact product of tokens and prices in USD, written out plainly."""
    usage, (read, cached, written) = USAGES[case]
    wire.answer = whole(completion(usage=usage))
    cost = post(http).headers["x-token-cost"]
    exact = [
        (read - cached) * Decimal(PRICE["input"]),
        cached * Decimal(PRICE["cachedInput"]),
        written * Decimal(PRICE["output"]),
    ]
    assert Decimal(cost) == sum(exact) / 1_000_000
    assert "e" not in cost.lower()
    assert cost == format(Decimal(cost).normalize(), "f")


def test_the_smallest_price_is_not_rounded_away(http: httpx.Client, wire: Wire) -> None:
    """One token at 0.000001 USD per million is one picodollar."""
    wire.answer = whole(completion(usage={"prompt_tokens": 1, "completion_tokens": 0}))
    assert post(http, "odd").headers["x-token-cost"] == "0.000000000001"
    wire.answer = whole(completion(usage={"prompt_tokens": 1, "completion_tokens": 1_000_000}))
    assert post(http, "odd").headers["x-token-cost"] == "999999.000000000001"


def test_cached_input_without_a_price_costs_what_input_costs(http: httpx.Client, wire: Wire) -> None:
    """Never nothing."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 1000}}
    wire.answer = whole(completion(usage=usage))
    assert post(http, "plain").headers["x-token-cost"] == "0.0105"


def test_no_price_no_cost(http: httpx.Client) -> None:
    """Unknown is not free: answers of a model without a price carry no x-token-cost."""
    assert "x-token-cost" not in post(http, "unpriced").headers


def test_no_usage_no_cost(http: httpx.Client, wire: Wire) -> None:
    """A provider that does not tell tokens leaves the cost unknown."""
    wire.answer = whole(completion(usage=None))
    assert "x-token-cost" not in post(http).headers


def test_errors_and_streams_carry_no_cost(http: httpx.Client, wire: Wire) -> None:
    """A stream's tokens come after its headers; a mistake costs nothing."""
    wire.answer = stream(ROLE, chunk("a"), END, DONE)
    assert "x-token-cost" not in post(http, stream=True).headers
    wire.answer = whole({"error": {"message": "no"}}, 400)
    assert "x-token-cost" not in post(http).headers


TAGS = {
    "turnout_attempts_total": {"group", "model", "arm", "attempt", "result"},
    "turnout_attempt_milliseconds": {"group", "model", "arm", "attempt"},
    "turnout_first_token_milliseconds": {"group", "model", "arm"},
    "turnout_fallbacks_total": {"group", "model", "to", "reason"},
    "turnout_lost_milliseconds_total": {"group", "model"},
    "turnout_circuit": {"group", "model"},
    "turnout_fallback_requests_total": {"group"},
    "turnout_requests_total": {"group", "code"},
    "turnout_request_milliseconds": {"group"},
    "turnout_key_requests_total": {"group", "model", "key"},
    "turnout_token_requests_total": {"key", "slot"},
    "turnout_token_last_used_timestamp_seconds": {"key", "slot"},
    "turnout_token_last_used_id": {"key", "slot"},
    "turnout_tokens_in_total": {"group", "model", "key"},
    "turnout_tokens_cached_total": {"group", "model", "key"},
    "turnout_tokens_out_total": {"group", "model", "key"},
    "turnout_cost_nanousd_total": {"group", "model", "key"},
}
RESULTS = {
    *("ok", "client_error", "rate_limited", "refused", "server_error", "timeout", "connection", "malformed", "empty"),
    *("error_event", "truncated", "stalled", "hung_up", "too_long"),
}
VALUES = {
    "arm": {"baseline", "canary"},
    "attempt": {"first", "fallback"},
    "result": RESULTS,
    "reason": RESULTS - {"ok", "client_error", "hung_up"},
    "code": {"2xx", "4xx", "429", "499", "5xx"},
}


def test_usage_is_counted_by_key(router: Router, wire: Wire) -> None:
    """Requests, tokens and cost in billionths of a dollar, for {group, model, key}; also of streams that tell it."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 400}}
    http = router.http("billing")
    wire.answer = whole(completion(usage=usage))
    post(http)
    tail = event({"object": "chat.completion.chunk", "choices": [], "usage": usage})
    wire.answer = stream(ROLE, chunk("a"), END, tail, DONE)
    post(http, stream=True)
    labels = {"group": "assistant", "model": "wire", "key": "billing"}
    eventually(lambda: router.metrics().sum("turnout_key_requests_total", **labels) == 2)
    metrics = router.metrics()
    assert metrics.sum("turnout_tokens_in_total", **labels) == 2000
    assert metrics.sum("turnout_tokens_cached_total", **labels) == 800
    assert metrics.sum("turnout_tokens_out_total", **labels) == 100
    # 600 × 140,000 + 400 × 14,000 + 50 × 420,000 picodollars
    assert metrics.sum("turnout_cost_nanousd_total", **labels) == pytest.approx(2 * 110_600, abs=1)


def test_the_last_use_of_a_token_is_told(router: Router, http: httpx.Client) -> None:
    """In Unix seconds; to ask whether the token is good is no use of it."""

    def used() -> float:
        return router.metrics().sum("turnout_token_last_used_timestamp_seconds", key="app")

    began = time.time()
    post(http)
    eventually(lambda: began - 1 <= used() <= time.time())
    before = used()
    time.sleep(1.1)
    assert http.get("/v1/auth/verify").status_code == 200
    time.sleep(0.5)
    assert used() == before


RESULT_OF = {
    "ok": whole(completion()),
    "client_error": whole({}, 400),
    "rate_limited": whole({}, 429),
    "refused": whole({}, 401),
    "server_error": whole({}, 500),
    "timeout": [Step.STALL],
    "connection": [Step.RESET],
    "malformed": whole(b"<html>", kind="text/html"),
    "empty": whole(completion(choices=[])),
    "error_event": whole({"error": {"message": "x"}}),
}


@pytest.mark.parametrize("result", RESULT_OF)
def test_attempts_are_counted_by_result(router: Router, http: httpx.Client, wire: Wire, result: str) -> None:
    """One first attempt of that result; and if it failed, one fallback with its reason."""
    wire.answer = RESULT_OF[result]
    first = {"group": "assistant", "model": "wire", "arm": "baseline", "attempt": "first"}
    second = {"group": "assistant", "model": "two", "arm": "baseline", "attempt": "fallback", "result": "ok"}
    reason = {"group": "assistant", "model": "wire", "to": "two", "reason": result}
    failed = result not in ("ok", "client_error")
    names = [
        ("turnout_attempts_total", {**first, "result": result}, 1),
        ("turnout_attempts_total", second, int(failed)),
        ("turnout_fallbacks_total", reason, int(failed)),
        ("turnout_fallback_requests_total", {"group": "assistant"}, int(failed)),
        ("turnout_requests_total", {"group": "assistant"}, 1),
    ]

    def now() -> list[float]:
        metrics = router.metrics()
        return [metrics.sum(name, **labels) for name, labels, _ in names]

    before = now()
    post(http)
    wanted = [b + n for b, (_, _, n) in zip(before, names, strict=True)]
    eventually(lambda: now() == wanted, within=2)


@pytest.mark.parametrize(
    ("result", "pieces"),
    [
        ("truncated", [ROLE, chunk("a"), Step.CUT]),
        ("stalled", [ROLE, chunk("a"), Step.STALL]),
        ("ok", [chunk("a"), END, DONE]),
    ],
)
def test_streams_are_counted_at_their_end(
    router: Router, http: httpx.Client, wire: Wire, result: str, pieces: list
) -> None:
    """What became of a stream after its first content is its result."""
    labels = {"group": "assistant", "model": "wire", "attempt": "first", "result": result}
    before = router.metrics().sum("turnout_attempts_total", **labels)
    wire.answer = stream(*pieces)
    try:
        post(http, stream=True)
    except httpx.RemoteProtocolError:
        assert result != "ok"
    eventually(lambda: router.metrics().sum("turnout_attempts_total", **labels) == before + 1, within=2)


def test_times_are_kept_as_histograms(router: Router, http: httpx.Client, wire: Wire) -> None:
    """Of attempts, first tokens and requests, in milliseconds; Envoy merges histograms every 5 s."""
    labels = {"group": "free"}
    wire.answer = stream(0.1, ROLE, 0.1, chunk("a"), 0.1, END, DONE)
    started = time.monotonic()
    post(http, "free", stream=True)
    took = (time.monotonic() - started) * 1000
    least = {
        "turnout_first_token_milliseconds": 200,
        "turnout_attempt_milliseconds": 300,
        "turnout_request_milliseconds": 300,
    }
    for name, ms in least.items():
        eventually(lambda name=name: router.metrics().sum(f"{name}_count", **labels) == 1, within=15)
        assert ms * 0.9 <= router.metrics().sum(f"{name}_sum", **labels) <= took * 1.1


def test_requests_are_counted_by_class(router: Router, http: httpx.Client, wire: Wire) -> None:
    """2xx, 4xx, 429, 5xx, and 499 for a client that left; those that never got to a group have none."""
    codes = ["2xx", "4xx", "429", "5xx", "499"]

    def now() -> list[float]:
        metrics = router.metrics()
        return [metrics.sum("turnout_requests_total", code=code) for code in codes]

    before = now()
    post(http)
    wire.answer = whole({}, 400)
    post(http, "plain")
    wire.answer = whole({}, 429)
    post(http, "plain")
    wire.answer = whole({}, 500)
    eventually(lambda: not any(lane["pausedForMs"] for lane in router.lanes().values()))
    post(http, "plain")
    wire.answer = [Step.STALL]
    with pytest.raises(httpx.ReadTimeout):
        post(router.http(timeout=0.5), "unpriced")
    eventually(lambda: now() == [count + 1 for count in before], within=2)
    before = now()
    post(http, "nobody")
    post(router.http(None))
    eventually(lambda: now() == [before[0], before[1] + 2, *before[2:]], within=2)
    counted = [s for s in router.metrics() if s.name == "turnout_requests_total"]
    assert {s.labels["group"] for s in counted} <= {"assistant", "odd", "plain", "free", "unpriced", ""}


def test_the_names_and_labels_are_these_and_no_others(router: Router, http: httpx.Client, wire: Wire) -> None:
    """Every series of ours has exactly the labels that it should, with values from short lists."""
    post(http)
    allowed = {**VALUES, "key": {"app", "billing"}, "model": {"wire", "two", "odd", "plain", "free", "unpriced"}}
    seen = set()
    for sample in router.metrics():
        name = re.sub("_(bucket|sum|count)$", "", sample.name)
        assert set(sample.labels) - {"le"} == TAGS[name], sample
        assert all(sample.labels[label] in allowed[label] for label in allowed.keys() & sample.labels), sample
        seen.add(name)
    assert seen == set(TAGS)


def test_what_clients_send_makes_no_series(router: Router, http: httpx.Client) -> None:
    """Unknown models and paths, whatever they are called, are counted together."""
    before = len(router.metrics())
    for i in range(20):
        post(http, f"nobody-{i}")
        http.get(f"/v1/nothing-{i}")
    assert len(router.metrics()) <= before + 1
    assert "nobody" not in router.status.get("/stats/prometheus").text
