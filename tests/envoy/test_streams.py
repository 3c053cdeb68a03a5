"""Streams as programs see them: live ones that flow, end, fail before their first content, or break after it."""

import json
import time

import httpx
import openai
import pytest

from harness.asking import ask, hang_up, post
from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve, eventually
from harness.wire import DONE, END, ROLE, Step, Wire, chunk, event, head, stream, whole

CONTENT = chunk("Hello")
COMMENT = b": OPENROUTER PROCESSING\n\n"
ERROR = event({"error": {"message": "The server had an error", "type": "server_error", "code": 503}})


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """A chain from the provider of bytes to a good one, with short deadlines; `slow` may take long without a stream,
    `patient` always.
    """
    times = {"firstToken": "400ms", "idle": "400ms", "request": "600ms"}
    patient = {"circuit": {"failures": 1000}}
    spec = {**patient, "timeouts": times}
    chain = (model("wire", wire.url), trio.two.manifest)
    return serve(
        group("assistant", *chain, **spec),
        group("alone", chain[0], **spec),
        group("slow", *chain, **patient, timeouts={**times, "request": "5s"}),
        group("patient", *chain, **patient),
        key("app"),
        *trio.secrets,
    )


@pytest.fixture(scope="module")
def client(router: Router) -> openai.OpenAI:
    """The SDK, without retries of its own."""
    return router.sdk()


BEFORE_CONTENT = {
    "an error event": ([ERROR, DONE], "error_event"),
    "a role chunk and an error event": ([ROLE, ERROR], "error_event"),
    "Anthropic's error event": (
        [b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'],
        "error_event",
    ),
    "an error after comments": ([COMMENT, COMMENT, ERROR], "error_event"),
    "nothing": ([], "empty"),
    "only the end mark": ([DONE], "empty"),
    "a role chunk and the end": ([ROLE, END, DONE], "empty"),
    "a role chunk, then silence": ([ROLE, Step.STALL], "timeout"),
    "a role chunk, then the connection ends": ([ROLE, Step.CUT], "connection"),
    "a role chunk, then a reset": ([ROLE, Step.RESET], "connection"),
    "headers, then silence": ([Step.STALL], "timeout"),
    "headers, then the connection ends": ([Step.CUT], "connection"),
    "comments without end": ([COMMENT, 0.1, COMMENT, 0.1, COMMENT, 0.1, COMMENT, 0.1, COMMENT, Step.STALL], "timeout"),
    "a late first token": ([ROLE, 0.9, CONTENT, END, DONE], "timeout"),
    "no content before the clean end": ([ROLE], "truncated"),
}


@pytest.mark.parametrize("case", BEFORE_CONTENT)
def test_what_fails_before_the_first_content_is_made_good(
    client: openai.OpenAI, wire: Wire, trio: Trio, case: str
) -> None:
    """Nothing has reached the client yet: the next model answers, whole, and the first was asked once."""
    pieces, why = BEFORE_CONTENT[case]
    wire.answer = stream(*pieces)
    answer = ask(client, stream=True)
    assert (answer.model, answer.finish) == ("two", "stop")
    assert answer.text.startswith("Hello from two")
    assert answer.fallback == f"wire={why}"
    assert (len(wire.asked), len(trio.two.seen)) == (1, 1)


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"<html>busy</html>", kind="text/html"),
        whole({"error": {"message": "busy", "code": 503}}),
        whole(b'{"choices": [{"mess'),
        whole(b""),
        whole(b"upstream connect error", kind="text/plain"),
    ],
    ids=["html", "an error document", "half a document", "nothing", "plain text"],
)
def test_a_200_that_is_no_stream_is_made_good(client: openai.OpenAI, wire: Wire, answer: list[bytes]) -> None:
    """A stream was asked for, and something else came that is no answer either."""
    wire.answer = answer
    assert ask(client, stream=True).model == "two"


def test_a_slow_first_token_behind_early_headers_counts_as_a_failure(router: Router, wire: Wire) -> None:
    """The circuit and the metrics learn of it, though the provider answered 200 at once."""
    before = router.metrics().sum("turnout_attempts_total", model="wire", result="timeout")
    wire.answer = stream(ROLE, Step.STALL)
    failures = router.lanes()["wire"]["failures"]
    ask(router.sdk(), stream=True)
    assert router.lanes()["wire"]["failures"] == failures + 1
    assert router.metrics().sum("turnout_attempts_total", model="wire", result="timeout") == before + 1
    eventually(lambda: wire.asked[0].left, why="the provider was left working")


BROKEN = {
    "the connection ends": [Step.CUT],
    "a reset": [Step.RESET],
    "silence": [Step.STALL],
    "a clean end without the model's": [],
    "half an event, then a clean end": [b'data: {"choices": [{"delta": {"conte'],
    "an error event": [ERROR],
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("name", ["assistant", "alone"])
def test_what_breaks_after_the_first_content_raises(client: openai.OpenAI, wire: Wire, case: str, name: str) -> None:
    """The SDK raises, having shown what came; no broken stream looks whole, none is spliced to another model's."""
    wire.answer = stream(ROLE, CONTENT, *BROKEN[case])
    create = client.chat.completions.with_raw_response.create
    raw = create(model=name, messages=[{"role": "user", "content": "x"}], stream=True)
    seen = []
    with pytest.raises((openai.APIError, httpx.TransportError, json.JSONDecodeError)):
        seen.extend(piece.choices[0] for piece in raw.parse())
    assert [(choice.delta.content, choice.finish_reason) for choice in seen] == [("", None), ("Hello", None)]
    assert raw.headers["x-turnout-model"] == "wire"
    assert len(wire.asked) == 1


def test_silence_is_cut_soon_after_the_idle_deadline(client: openai.OpenAI, wire: Wire) -> None:
    """timeouts.idle is 400 ms; the cut comes then, not with some other timer."""
    wire.answer = stream(ROLE, CONTENT, Step.STALL)
    started = time.monotonic()
    with pytest.raises((openai.APIError, httpx.TransportError)):
        ask(client, stream=True)
    # 400 ms, a tick of 250 ms and 100 ms of Envoy's delayed close, which by default is a second.
    assert 0.4 <= time.monotonic() - started < 1.4
    eventually(lambda: wire.asked[0].left, why="the provider was left working")


def test_a_stream_may_last_longer_than_any_deadline(client: openai.OpenAI, wire: Wire) -> None:
    """Deadlines are for the first content and for gaps: a stream that keeps coming is never cut."""
    gaps = [piece for _ in range(16) for piece in (CONTENT, 0.1)]
    wire.answer = stream(ROLE, *gaps, END, DONE)
    answer = ask(client, stream=True)
    assert (answer.model, answer.text, answer.finish) == ("wire", "Hello" * 16, "stop")


def test_comments_keep_a_stream_alive(client: openai.OpenAI, wire: Wire) -> None:
    """A provider that says it is still thinking is not silent."""
    gaps = [piece for _ in range(8) for piece in (0.1, COMMENT)]
    wire.answer = stream(CONTENT, *gaps, CONTENT, END, DONE)
    assert ask(client, stream=True).text == "HelloHello"


ODD = [
    COMMENT,
    b'event: chunk\r\nid: 1\r\ndata:{"choices":[{"index":0,"delta":{"content":"a"}}]}\r\n\r\n',
    b'data: {"choices":\ndata: [{"index":0,"delta":{"content":"b\\u00fc"}}]}\n\n',
    b"retry: 10\n\n\n\n",
    'data: {"choices":[{"index":0,"delta":{"content":"\u00fc\U0001f600"}}],"odd" : [ 1,2 ]}\n\n'.encode(),
    END,
    b"data: [DONE]\n\n",
    b": bye\n",
]


def test_a_stream_passes_byte_for_byte(router: Router, wire: Wire) -> None:
    """Comments, line ends, unknown fields, odd spacing: all as the provider sent it."""
    wire.answer = stream(*ODD, x_request_id="of-the-provider", cache_control="no-cache")
    answer = post(router.http(), stream=True)
    assert answer.content == b"".join(ODD)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-request-id"] == "of-the-provider"


def test_a_stream_passes_however_it_is_cut_into_pieces(router: Router, wire: Wire) -> None:
    """A byte at a time is still the same stream."""
    text = b"".join(ODD)
    wire.answer = stream(*(text[i : i + 1] for i in range(len(text))))
    assert post(router.http(), stream=True).content == text


def test_content_comes_as_it_is_made(router: Router, wire: Wire) -> None:
    """From the first content on nothing is held back: each piece is here before the provider sends the next."""
    wire.answer = stream(ROLE, CONTENT, 3.0, chunk("later"), END, DONE)
    started = time.monotonic()
    with router.http().stream("POST", "/v1/chat/completions", json={"model": "patient", "stream": True}) as answer:
        first = next(answer.iter_bytes())
        assert time.monotonic() - started < 1.5
        assert b"Hello" in first


FIRST_CONTENT = {
    "reasoning": {"reasoning_content": "hm"},
    "reasoning of OpenRouter": {"reasoning": "hm"},
    "a refusal": {"refusal": "no"},
    "a tool call": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
    "an old function call": {"function_call": {"name": "f", "arguments": ""}},
    "audio": {"audio": {"id": "a"}},
}


@pytest.mark.parametrize("kind", FIRST_CONTENT)
def test_content_is_more_than_text(router: Router, wire: Wire, kind: str) -> None:
    """Reasoning, refusals, tool calls and audio are answers: what breaks after them is not tried elsewhere."""
    wire.answer = stream(ROLE, chunk(**FIRST_CONTENT[kind]), Step.CUT)
    with pytest.raises(httpx.RemoteProtocolError):
        post(router.http(), stream=True)
    assert len(wire.asked) == 1


def test_a_stream_that_ends_by_length_without_text_is_an_answer(router: Router, wire: Wire) -> None:
    """A model that spent max_tokens on hidden reasoning says finish_reason length and nothing else."""
    wire.answer = stream(ROLE, chunk(finish="length"), DONE)
    assert post(router.http(), stream=True).headers["x-turnout-model"] == "wire"


def test_a_stream_in_an_unknown_dialect_is_let_through(router: Router, wire: Wire) -> None:
    """What we cannot read may be a good answer all the same: after a few events it flows."""
    said = [event({"candidates": [{"text": f"part {i}"}]}) for i in range(20)]
    wire.answer = stream(*said)
    answer = post(router.http(), stream=True)
    assert answer.headers["x-turnout-model"] == "wire"
    assert answer.content == b"".join(said)


def test_an_answer_without_a_stream_has_one_deadline(client: openai.OpenAI, wire: Wire) -> None:
    """timeouts.request (600 ms) bounds one whole attempt: headers late, or the body, or its end."""
    for answer in (
        [Step.STALL],
        [head(length=100), Step.STALL],
        [head(length=100) + b'{"choices": [', Step.STALL],
    ):
        wire.answer = answer
        started = time.monotonic()
        said = ask(client)
        assert (said.model, said.fallback) == ("two", "wire=timeout")
        assert 0.55 < time.monotonic() - started < 2


def test_a_slow_answer_within_its_deadline_is_waited_for(client: openai.OpenAI, wire: Wire) -> None:
    """Only streams have the deadlines firstToken and idle (400 ms)."""
    wire.answer = [0.9, *whole({"choices": [{"index": 0, "message": {"role": "assistant", "content": "late"}}]})]
    assert ask(client, "slow").text == "late"


@pytest.mark.parametrize("streaming", [False, True])
def test_a_hang_up_counts_for_nothing(router: Router, wire: Wire, streaming: bool) -> None:
    """A client that leaves while a model thinks is no failure of the model; the provider sees it go at once."""
    before = router.lanes()["wire"]["failures"]
    hung_up = router.metrics().sum("turnout_attempts_total", model="wire", result="hung_up")
    wire.answer = stream(ROLE, Step.STALL) if streaming else [Step.STALL]
    hang_up(router.http(timeout=0.5), 5, "patient", stream=streaming)
    eventually(lambda: len(wire.asked) == 5 and all(a.left for a in wire.asked))
    assert router.lanes()["wire"]["failures"] == before
    assert router.metrics().sum("turnout_attempts_total", model="wire", result="hung_up") == hung_up + 5


def test_a_hang_up_in_the_middle_of_a_stream_counts_for_nothing(router: Router, wire: Wire) -> None:
    """The same after the first content."""
    before = router.lanes()["wire"]["failures"]
    wire.answer = stream(ROLE, CONTENT, Step.STALL)
    with router.http().stream("POST", "/v1/chat/completions", json={"model": "patient", "stream": True}) as answer:
        next(answer.iter_bytes())
    eventually(lambda: wire.asked[0].left, why="the provider was left working")
    assert router.lanes()["wire"]["failures"] == before


def test_json_answers_pass_byte_for_byte(router: Router, wire: Wire) -> None:
    """A whole answer is held to be judged, and then given as it came."""
    said = b' {"id" : "x",\n\t"choices":[ {"message":{"content":"\\u00fc\xc3\xbc \\/ \\n"},"odd":1.50e+3} ] }\r\n '
    wire.answer = whole(said, x_request_id="of-the-provider")
    answer = post(router.http())
    assert (answer.content, answer.headers["x-request-id"]) == (said, "of-the-provider")
    assert json.loads(answer.content)["choices"]
