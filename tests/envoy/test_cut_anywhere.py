"""A stream that ends at any byte, in any way: it is whole, or made good, or it raises; it never only looks whole."""

from collections.abc import Iterator

import httpx
import openai
import pytest

from harness.asking import ask
from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve
from harness.wire import DONE, END, ROLE, Step, Steps, Wire, chunk, head

EVENTS = [b": hi\n\n", ROLE, chunk("one "), b"event: x\nid: 7\n", chunk("two "), chunk("three"), END, DONE]
TEXT = b"".join(EVENTS)
WHOLE_FROM = len(b"".join(EVENTS[:-1])) - 2
"""From this byte on the model's own end is there, though perhaps not yet the line breaks behind it."""

RAISED = (openai.APIError, httpx.TransportError, ValueError)


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """A live group and one that holds streams, each from the provider of bytes to a good one."""
    spec = {"circuit": {"failures": 1000}, "timeouts": {"firstToken": "2s", "idle": "2s"}}
    first = model("wire", wire.url)
    groups = [
        group(name, first, trio.two.manifest, **spec, delivery=delivery)
        for name, delivery in (("live", "Live"), ("whole", "Complete"))
    ]
    return serve(*groups, key("app"), *trio.secrets)


def cut(at: int, how: str) -> Steps:
    """The stream's first bytes, then an end: clean as HTTP has it, without a length, or a cut."""
    if how == "chunked":
        return [head(kind="text/event-stream"), b"%x\r\n%b\r\n" % (at, TEXT[:at]) if at else b"", b"0\r\n\r\n"]
    if how == "cut":
        return [head(kind="text/event-stream"), b"%x\r\n%b" % (len(TEXT), TEXT[:at]), Step.CUT]
    return [b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + TEXT[:at], Step.CUT]


def places(how: str) -> Iterator[int]:
    """Every byte around the ends of events, where the traps are; elsewhere every seventh. Fewer cuts: each is 0.1 s."""
    near, step = (range(-1, 2), 40) if how == "cut" else (range(-3, 7), 7)
    ends = [len(b"".join(EVENTS[: i + 1])) for i in range(len(EVENTS))]
    chosen = {end + offset for end in ends for offset in near} | set(range(0, len(TEXT), step))
    yield from sorted(p for p in chosen if 0 <= p < len(TEXT))


@pytest.mark.parametrize("how", ["chunked", "cut", "close"])
def test_a_live_stream_never_looks_whole_if_it_is_not(router: Router, wire: Wire, how: str) -> None:
    """Before its first content the next model answers; after it the SDK raises, wherever the end is."""
    client, wrong = router.sdk(), []
    for at in places(how):
        wire.answer = cut(at, how)
        try:
            answer = ask(client, "live", stream=True)
        except RAISED:
            continue
        by_two = answer.model == "two" and answer.finish == "stop"
        by_wire = answer.model == "wire" and (answer.text, answer.finish) == ("one two three", "stop")
        if not (by_two or (by_wire and at >= WHOLE_FROM)):
            wrong.append((at, TEXT[max(0, at - 20) : at], answer.model, answer.text, answer.finish))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("how", ["chunked", "cut", "close"])
def test_a_held_stream_is_whole_wherever_it_ends(router: Router, wire: Wire, how: str) -> None:
    """No end at any byte raises: the answer is the first model's, whole, or the next one's."""
    client, wrong = router.sdk(), []
    for at in places(how):
        wire.answer = cut(at, how)
        answer = ask(client, "whole", stream=True)
        by_two = answer.model == "two" and answer.finish == "stop"
        by_wire = answer.model == "wire" and (answer.text, answer.finish) == ("one two three", "stop")
        if not (by_two or (by_wire and at >= WHOLE_FROM)):
            wrong.append((at, TEXT[max(0, at - 20) : at], answer.model, answer.text, answer.finish))
    assert not wrong, "\n".join(map(str, wrong))
