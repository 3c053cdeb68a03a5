"""Delivery Complete: a stream is held until it is whole, so whatever breaks it is made good elsewhere."""

import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from harness.asking import Answer, ask, code_of, hang_up, post
from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve, eventually
from harness.wire import DONE, END, ROLE, Step, Steps, Wire, chunk, event, head, stream, whole

CONTENT = chunk("Hello")
ERROR = event({"error": {"message": "The server had an error", "type": "server_error", "code": 503}})


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """Chains that begin with the provider of bytes; deadlines are short, but those of `patient` and `both`."""
    times = {"firstToken": "400ms", "idle": "400ms", "request": "600ms"}
    patient = {"delivery": "Complete", "circuit": {"failures": 1000}}
    spec = {**patient, "timeouts": times}
    first = model("wire", wire.url, price={"input": "1", "output": "2"})
    return serve(
        group("assistant", first, *trio.models[1:], **spec),
        group("alone", first, **spec),
        group("patient", first, *trio.models[1:], **patient),
        group("both", *trio.models[:2], **patient, timeouts=dict.fromkeys(times, "1s")),
        key("app"),
        *trio.secrets,
    )


@pytest.fixture(scope="module")
def client(router: Router) -> openai.OpenAI:
    """The SDK, without retries of its own."""
    return router.sdk()


FAULTS: dict[str, Steps] = {
    "no answer": [Step.STALL],
    "no answer and a cut": [Step.CUT],
    "a reset": [Step.RESET],
    "503": whole({"error": {"message": "busy"}}, 503),
    "401": whole({"error": {"message": "who?"}}, 401),
    "headers, then silence": [head(kind="text/event-stream"), Step.STALL],
    "headers, then a cut": [head(kind="text/event-stream"), Step.CUT],
    "a role chunk, then silence": stream(ROLE, Step.STALL),
    "an error event at once": stream(ERROR, DONE),
    "nothing in it": stream(DONE),
    "content, then silence": stream(ROLE, CONTENT, Step.STALL),
    "content, then a cut": stream(ROLE, CONTENT, Step.CUT),
    "content, then a reset": stream(ROLE, CONTENT, Step.RESET),
    "content, then a cut inside a chunk": [*stream(ROLE, CONTENT)[:-1], b"ff\r\ndata: {", Step.CUT],
    "content, then a clean end": stream(ROLE, CONTENT),
    "content, then half an event": stream(ROLE, CONTENT, b'data: {"choices": [{"del'),
    "content, then an error event": stream(ROLE, CONTENT, ERROR),
    "content, then an error event and the end mark": stream(ROLE, CONTENT, ERROR, DONE),
    "much content, then a cut": stream(ROLE, *[chunk("x" * 1000)] * 200, Step.CUT),
    "html": whole(b"<html></html>", kind="text/html"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_breaks_a_stream_is_made_good(client: openai.OpenAI, wire: Wire, trio: Trio, fault: str) -> None:
    """The client sees the next model's answer, whole, and not one piece of the broken one."""
    wire.answer = FAULTS[fault]
    answer = ask(client, stream=True)
    assert (answer.model, answer.attempts, answer.finish) == ("two", 2, "stop")
    assert answer.text.startswith("Hello from two")
    assert (len(wire.asked), len(trio.two.seen)) == (1, 1)
    assert answer.fallback is not None
    assert answer.fallback.startswith("wire=")


@pytest.mark.parametrize("first", ["no answer", "content, then silence", "content, then a cut", "503"])
@pytest.mark.parametrize("second", ["hang", "stall:3", "cut:3", "503"])
def test_two_that_break_are_made_good_by_the_third(
    client: openai.OpenAI, wire: Wire, trio: Trio, first: str, second: str
) -> None:
    """However two streams break one after the other, the third model's answer is whole, and each was asked once."""
    wire.answer = FAULTS[first]
    trio.two.mode(second)
    answer = ask(client, stream=True)
    assert (answer.model, answer.attempts, answer.finish) == ("three", 3, "stop")
    assert (len(wire.asked), len(trio.two.seen), len(trio.three.seen)) == (1, 1, 1)


def test_a_whole_stream_passes_byte_for_byte(router: Router, wire: Wire) -> None:
    """Held, judged, and given as it came: events, not one document."""
    pieces = [b": hi\n\n", ROLE, chunk("a"), chunk("\u00fc"), END, event({"choices": [], "usage": None}), DONE]
    wire.answer = stream(*pieces)
    answer = post(router.http(), stream=True)
    assert answer.content == b"".join(pieces)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-turnout-model"] == "wire"


def test_a_stream_without_an_end_mark_is_whole_if_the_model_finished(client: openai.OpenAI, wire: Wire) -> None:
    """Some providers leave [DONE] out."""
    wire.answer = stream(ROLE, CONTENT, END)
    answer = ask(client, stream=True)
    assert (answer.model, answer.text, answer.finish) == ("wire", "Hello", "stop")


def test_a_long_stream_is_held_longer_than_any_deadline(client: openai.OpenAI, wire: Wire) -> None:
    """First content and gaps have deadlines; a stream that keeps coming is waited for."""
    wire.answer = stream(ROLE, *[piece for _ in range(16) for piece in (CONTENT, 0.1)], END, DONE)
    answer = ask(client, stream=True)
    assert (answer.model, answer.text, answer.attempts) == ("wire", "Hello" * 16, 1)


def test_the_deadlines_hold_though_nothing_is_shown(client: openai.OpenAI, wire: Wire) -> None:
    """First content late, or silence in the middle: left after 400 ms, not after some longer time."""
    for fault in ("headers, then silence", "content, then silence", "no answer"):
        wire.answer = FAULTS[fault]
        started = time.monotonic()
        ask(client, stream=True)
        assert 0.4 <= time.monotonic() - started < 2.5, fault


@pytest.mark.parametrize("fault", ["content, then silence", "content, then a clean end", "no answer", "503", "a reset"])
def test_a_model_alone_that_breaks_is_an_error_and_no_stream(router: Router, wire: Wire, fault: str) -> None:
    """With nobody else to ask, the client gets an error status in OpenAI's shape, and not half a stream."""
    wire.answer = FAULTS[fault]
    answer = post(router.http(), "alone", stream=True)
    assert answer.status_code >= 500
    assert "Hello" not in answer.text
    if fault != "503":
        code_of(answer)


def test_answers_that_do_not_stream_are_as_ever(client: openai.OpenAI, wire: Wire, trio: Trio) -> None:
    """Complete changes streams only."""
    wire.answer = whole({"error": {"message": "busy"}}, 500)
    answer = ask(client)
    assert (answer.model, answer.fallback) == ("two", "wire=500")


def test_a_hang_up_ends_a_held_stream(router: Router, wire: Wire, trio: Trio) -> None:
    """A client that leaves while its stream is held: the provider sees it, nobody else is asked, nothing is counted."""
    failures = router.lanes()["wire"]["failures"]
    wire.answer = stream(ROLE, CONTENT, Step.STALL)
    hang_up(router.http(timeout=0.5), 1, "patient", stream=True)
    eventually(lambda: wire.asked[0].left)
    assert trio.two.seen == []
    assert router.lanes()["wire"]["failures"] == failures


def test_failures_of_every_kind_reach_the_circuit(router: Router, client: openai.OpenAI, wire: Wire) -> None:
    """Each broken stream is one failure of its lane, and a whole one clears them."""
    wire.answer = stream(ROLE, CONTENT, END, DONE)
    ask(client, stream=True)
    for count, fault in enumerate(("content, then a cut", "content, then silence", "no answer", "503"), 1):
        wire.answer = FAULTS[fault]
        ask(client, stream=True)
        assert router.lanes()["wire"]["failures"] == count, fault
    wire.answer = stream(ROLE, CONTENT, END, DONE)
    assert ask(client, stream=True).model == "wire"
    assert router.lanes()["wire"]["failures"] == 0


@pytest.mark.parametrize("fault", ["cut:3", "stall:3", "hang", "error-event:2"])
def test_many_at_once_are_all_made_good(router: Router, trio: Trio, fault: str) -> None:
    """Twenty clients at once, each with a stream that breaks: twenty whole answers, after two attempts each."""
    trio.one.mode(fault)
    client = router.sdk()

    def call(_: int) -> Answer:
        return ask(client, "both", stream=True)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(call, range(20)))
    assert {(a.model, a.finish, a.attempts) for a in answers} == {("two", "stop", 2)}
    assert (len(trio.one.seen), len(trio.two.seen)) == (20, 20)
