"""Tokens and cost of streams are known although the client did not ask, and the client sees only what it asked for."""

import json
from typing import Any

import httpx
import openai
import pytest

from harness.asking import MESSAGES, ask, body, post
from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve, eventually
from harness.wire import DONE, END, ROLE, Step, Wire, chunk, event, stream, whole

PRICE = {"input": "0.14", "output": "0.42", "cachedInput": "0.014"}
REPORTED = {
    "prompt_tokens": 1000,
    "completion_tokens": 50,
    "total_tokens": 1050,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 30},
}
USAGE = event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": REPORTED})
UNKNOWN = whole({"error": {"message": 'json: unknown field "stream_options"', "type": "invalid_request_error"}}, 400)


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """Priced models: the fake provider, which tells usage only if it is asked, and the provider of bytes."""
    spec = {"circuit": {"failures": 1000}, "timeouts": {"firstToken": "2s", "idle": "2s"}}
    first = model("wire", wire.url, price=PRICE)
    behind = {**trio.two.manifest, "price": PRICE}
    return serve(
        group("strict", {**trio.one.manifest, "price": PRICE}, **spec),
        group("held", {**trio.one.manifest, "price": PRICE}, **spec, delivery="Complete"),
        group("live", first, behind, **spec),
        group("whole", first, behind, **spec, delivery="Complete"),
        group("alone", model("lonely", wire.url, price=PRICE), **spec),
        group("shy", model("shy", wire.url, price=PRICE), **spec),
        group("last", trio.three.manifest, model("last", wire.url, price=PRICE), **spec),
        key("app"),
        key("asks"),
        key("asks-not"),
        *trio.secrets,
    )


@pytest.fixture(scope="module")
def http(router: Router) -> httpx.Client:
    """A client with a good key."""
    return router.http()


def chunks(client: openai.OpenAI, name: str, **fields: Any) -> list[Any]:
    """Every chunk of a streamed chat as the SDK shows it."""
    return list(client.chat.completions.create(model=name, messages=MESSAGES, stream=True, **fields))


def counted(router: Router, **labels: str) -> list[float]:
    """Tokens in, cached, out, and cost."""
    metrics = router.metrics()
    names = ("tokens_in", "tokens_cached", "tokens_out", "cost_nanousd")
    return [metrics.sum(f"turnout_{name}_total", **labels) for name in names]


@pytest.mark.parametrize("name", ["strict", "held"])
def test_who_asks_sees_it_who_does_not_does_not_and_both_are_counted_alike(
    router: Router, trio: Trio, name: str
) -> None:
    """The SDK's chunks differ by the usage chunk alone; tokens and cost are the same, and those of the answer."""
    quiet = chunks(router.sdk("asks-not"), name)
    asking = chunks(router.sdk("asks"), name, stream_options={"include_usage": True})
    assert all(piece.choices and piece.usage is None for piece in quiet)
    assert [piece.choices for piece in asking[:-1]] == [piece.choices for piece in quiet]
    assert asking[-1].choices == []
    usage = asking[-1].usage
    who = {"group": name}
    eventually(lambda: counted(router, key="asks", **who)[2] == usage.completion_tokens > 0)
    eventually(lambda: counted(router, key="asks-not", **who) == counted(router, key="asks", **who))
    cost = usage.prompt_tokens * 140 + usage.completion_tokens * 420
    assert counted(router, key="asks", **who)[3] == pytest.approx(cost, abs=1)
    sent = [json.loads(seen.body or "") for seen in trio.one.seen]
    assert [one["stream_options"] for one in sent] == [{"include_usage": True}] * 2


def test_completions_too(router: Router) -> None:
    """The older API has the same option, and the same event."""
    client = router.sdk("asks-not")
    before = counted(router, key="asks-not", group="strict")[2]
    pieces = list(client.completions.create(model="strict", prompt="Say hello.", stream=True))
    assert all(piece.choices for piece in pieces)
    eventually(lambda: counted(router, key="asks-not", group="strict")[2] == before + len(pieces) - 1)


@pytest.mark.parametrize("name", ["live", "whole"])
def test_cached_and_reasoning_tokens_are_priced_as_reported(router: Router, wire: Wire, name: str) -> None:
    """Cached ones at their own price; reasoning is part of the completion."""
    wire.answer = stream(ROLE, chunk("a"), END, USAGE, DONE)
    assert post(router.http("asks-not"), name, stream=True).content == ROLE + chunk("a") + END + DONE
    # 600 x 140,000 + 400 x 14,000 + 50 x 420,000 picodollars
    eventually(lambda: counted(router, key="asks-not", group=name) == [1000, 400, 50, 110_600])


def test_embeddings_have_their_cost(router: Router, http: httpx.Client) -> None:
    """In the header and in the metrics; nothing is asked of the provider."""
    answer = http.post("/v1/embeddings", json={"model": "strict", "input": "x" * 400})
    tokens = answer.json()["usage"]["prompt_tokens"]
    assert answer.headers["x-token-cost"] == format(tokens * 14 / 100_000_000, ".12f").rstrip("0")
    eventually(lambda: counted(router, key="app", group="strict") == [tokens, 0, 0, tokens * 140])


WHOLE = ROLE + chunk("a") + b": hi\r\n\r\n" + END + b": still here\n\n" + USAGE + DONE


@pytest.mark.parametrize("name", ["live", "whole"])
def test_however_the_end_is_cut_only_the_usage_event_is_missing(http: httpx.Client, wire: Wire, name: str) -> None:
    """Cut in two at every seventh byte from the finish on, and in single bytes."""
    kept = WHOLE.replace(USAGE, b"")
    start = WHOLE.index(END)
    for at in [*range(start, len(WHOLE), 7), len(WHOLE) - len(DONE)]:
        wire.answer = stream(WHOLE[:at], 0.002, WHOLE[at:])
        assert post(http, name, stream=True).content == kept, WHOLE[at - 20 : at]
    wire.answer = stream(WHOLE[:start], *(WHOLE[i : i + 1] for i in range(start, len(WHOLE))))
    assert post(http, name, stream=True).content == kept
    wire.answer = stream(WHOLE)
    assert post(http, name, stream=True).content == kept


def test_nothing_waits_for_the_usage_event(http: httpx.Client, wire: Wire) -> None:
    """Content and finish are here although the provider falls silent behind them."""
    wire.answer = stream(ROLE, chunk("a"), 0.05, chunk("b"), 0.05, END, USAGE[:30], Step.STALL)
    seen = b""
    with http.stream("POST", "/v1/chat/completions", json=body("live", stream=True)) as answer:
        for piece in answer.iter_bytes():
            seen += piece
            if seen.endswith(END):
                break
    assert seen == ROLE + chunk("a") + chunk("b") + END


BESIDE = {
    "DeepSeek": event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": REPORTED}),
    "Groq": event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": REPORTED}}),
    "Moonshot": event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": REPORTED}]}),
}


@pytest.mark.parametrize("provider", BESIDE)
def test_usage_beside_the_finish_stays_and_counts(router: Router, wire: Wire, provider: str) -> None:
    """An event that tells more than usage is the client's."""
    before = counted(router, group="live")
    wire.answer = stream(ROLE, chunk("a"), BESIDE[provider], DONE)
    assert post(router.http(), "live", stream=True).content == ROLE + chunk("a") + BESIDE[provider] + DONE
    after = [b + n for b, n in zip(before, [1000, 400, 50, 110_600], strict=True)]
    eventually(lambda: counted(router, group="live") == after)


def test_only_the_option_is_added(http: httpx.Client, wire: Wire) -> None:
    """Behind the model's name, or where the client said no; the length fits, and the rest is the client's bytes."""
    wire.answer = stream(ROLE, chunk("a"), END, DONE)
    asks = b'"stream_options":{"include_usage":true}'
    for sent, expected in {
        b'{"messages":[],"model":"live","stream":true}': b'{"messages":[],"model":"wire",' + asks + b',"stream":true}',
        b'{"model":"live","stream":true,"stream_options":null}': b'{"model":"wire","stream":true,' + asks + b"}",
        b'{"stream_options":{"include_usage":false},"model":"live","stream":true}': b"{"
        + asks
        + b',"model":"wire","stream":true}',
        b'{"model":"live","stream":true,' + asks + b"}": b'{"model":"wire","stream":true,' + asks + b"}",
        b'{"model":"live","stream":true,"stream_options":7}': b'{"model":"wire","stream":true,"stream_options":7}',
        b'{"model":"live","stream":false}': b'{"model":"wire","stream":false}',
    }.items():
        http.post("/v1/chat/completions", content=sent, headers={"content-type": "application/json"})
        assert wire.asked[-1].body == expected
        assert wire.asked[-1].headers["content-length"] == [str(len(expected))]


def test_a_provider_that_does_not_know_the_option_answers_without_it(router: Router, wire: Wire) -> None:
    """The client notices nothing, the circuit neither, and from then on it is not asked."""
    wire.answers = [UNKNOWN]
    wire.answer = stream(ROLE, chunk("Hello"), END, DONE)
    for _ in range(2):
        answer = ask(router.sdk(), "shy", stream=True)
        assert (answer.text, answer.finish, answer.attempts, answer.fallback) == ("Hello", "stop", 1, None)
    assert [b"stream_options" in asked.body for asked in wire.asked] == [True, False, False]
    assert router.lanes()["shy"]["failures"] == 0
    attempts = {"group": "shy", "attempt": "first"}
    eventually(lambda: router.metrics().sum("turnout_attempts_total", result="ok", **attempts) == 2)
    assert router.metrics().sum("turnout_attempts_total", group="shy") == 2


def test_so_does_the_last_of_a_chain(router: Router, wire: Wire, trio: Trio) -> None:
    """Although the retries that the chain needs are used up."""
    trio.three.mode("503")
    wire.answers = [UNKNOWN]
    wire.answer = stream(ROLE, chunk("Hello"), END, DONE)
    answer = ask(router.sdk(), "last", stream=True)
    assert (answer.model, answer.text, answer.attempts, answer.fallback) == ("last", "Hello", 2, "three=503")


@pytest.mark.parametrize(("steps", "status"), [([Step.RESET], 503), ([Step.STALL], 504)])
def test_a_chain_that_is_used_up_answers_as_ever(router: Router, wire: Wire, steps: list[Step], status: int) -> None:
    """The retries kept for that are not spent on anything else: no provider is asked more often."""
    wire.answer = steps
    answer = post(router.http(), "alone", stream=True)
    assert answer.status_code == status
    assert len(wire.asked) == (2 if status == 503 else 1)
