"""Request bodies reach the provider as they were sent, but for the bytes of the model's name."""

import hashlib
import json
from collections.abc import Iterator

import httpx
import pytest

from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve
from harness.wire import DONE, END, Wire, chunk, completion, stream, whole

MIB = 1024 * 1024
UPSTREAM = 'up"stream \u00fc\\'


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """A first model whose upstream name needs escapes, and a good one behind it."""
    spec = {"circuit": {"failures": 1000}}
    return serve(
        group("assistant", model("wire", wire.url, upstreamName=UPSTREAM), trio.two.manifest, **spec),
        group("whole", model("wire", wire.url), trio.two.manifest, **spec, delivery="Complete"),
        group("big", {**trio.one.manifest, "upstreamName": "a-much-longer-name-than-big"}, trio.two.manifest, **spec),
        key("app"),
        *trio.secrets,
    )


@pytest.fixture(scope="module")
def http(router: Router) -> httpx.Client:
    """A client with a good key and patience."""
    return router.http(timeout=60)


def send(http: httpx.Client, content: bytes | Iterator[bytes]) -> httpx.Response:
    """A chat call with exactly these bytes."""
    return http.post("/v1/chat/completions", content=content, headers={"content-type": "application/json"})


ODD = {
    "compact": b'{"model":"assistant","messages":[]}',
    "odd whitespace": b' \r\n{\t"model"  :\n\n "assistant"\t,\r\n  "messages" : [ ]\n}\n \n',
    "the model at the end": b'{"messages":[{"role":"user","content":"x"}],"n":1.0e+02,"model":"assistant"}',
    "other models inside": b'{"messages":[{"model":"one","content":"\\"model\\":\\"two\\""}],'
    b'"a":{"model":"three"},"model":"assistant"}',
    "escapes": b'{"x":"\\u00fc\\/\\b\\\\","messages":[{"content":"\\ud83d\\ude00 \\"model\\": \\"no\\""}],'
    b'"model":"assistant"}',
    "unicode": '{"\u00fc":"\U0001f600 \u2028","model":"assistant","\u6a21\u578b":"\u00e9\u0301"}'.encode(),
    "an escaped name": b'{"model":"\\u0061ssist\\u0061nt","messages":[]}',
    "an escaped member": b'{"mod\\u0065l":"assistant","messages":[]}',
    "other members twice": b'{"a":1,"a":2,"model":"assistant","a":3}',
    "deep nesting": b'{"a":' + b"[" * 200 + b"]" * 200 + b',"model":"assistant"}',
    "numbers as they are": b'{"seed":12345678901234567890123,"t":-0.0,"e":1E-7,"model":"assistant"}',
    "unknown fields": b'{"model":"assistant","tools":null,"x_vendor":{"y":[true,false,null]},"stream":false}',
}
NAMES = [b'"assistant"', b'"\\u0061ssist\\u0061nt"']


@pytest.mark.parametrize("case", ODD)
def test_only_the_models_name_changes(http: httpx.Client, wire: Wire, case: str) -> None:
    """Byte for byte; the content-length fits."""
    sent = ODD[case]
    assert send(http, sent).status_code == 200
    name = next(n for n in NAMES if n in sent)
    before, _, after = sent.rpartition(name)
    assert wire.asked[0].body == before + json.dumps(UPSTREAM).encode() + after
    assert wire.asked[0].headers["content-length"] == [str(len(wire.asked[0].body))]


def test_each_attempt_gets_the_original_with_its_own_name(http: httpx.Client, wire: Wire, trio: Trio) -> None:
    """The second provider's body is made of the client's bytes, not of the first provider's."""
    wire.answer = [b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n"]
    sent = ODD["odd whitespace"].replace(b"[ ]", b'[ {"role":"user", "content":"x"} ]')
    assert send(http, sent).headers["x-turnout-model"] == "two"
    expected = sent.replace(b'"assistant"', b'"two"')
    assert trio.two.seen[0].sha256 == hashlib.sha256(expected).hexdigest()
    assert trio.two.seen[0].headers["content-length"] == str(len(expected))


def test_a_body_in_chunks_arrives_whole(http: httpx.Client, wire: Wire) -> None:
    """However the client cuts it, also inside the model's name."""
    sent = ODD["the model at the end"]
    assert send(http, (sent[i : i + 7] for i in range(0, len(sent), 7))).status_code == 200
    assert wire.asked[0].body == sent.replace(b'"assistant"', json.dumps(UPSTREAM).encode())


@pytest.mark.parametrize("size", [100_000, MIB, 32 * MIB - 1000], ids=["100 KB", "1 MiB", "32 MiB"])
@pytest.mark.parametrize("fault", ["ok", "503", "drop"])
@pytest.mark.parametrize("at_end", [False, True], ids=["model first", "model last"])
def test_a_large_body_arrives_whole_and_falls_back(
    http: httpx.Client, trio: Trio, size: int, fault: str, at_end: bool
) -> None:
    """Up to 32 MiB, with the model's name at either end, also when it is sent to a second provider."""
    trio.one.mode(fault)
    text = b'"messages":[{"role":"user","content":"' + b"x" * size + b'"}]'
    sent = b"{" + text + b',"model":"big"}' if at_end else b'{"model":"big",' + text + b"}"
    answer = send(http, sent)
    assert answer.status_code == 200
    provider = trio.one if fault == "ok" else trio.two
    assert answer.headers["x-turnout-model"] == provider.name
    name = b"a-much-longer-name-than-big" if fault == "ok" else b"two"
    expected = sent.replace(b'"big"', b'"' + name + b'"')
    assert provider.seen[0].sha256 == hashlib.sha256(expected).hexdigest()


def test_a_body_of_exactly_32_mib_passes(http: httpx.Client, trio: Trio) -> None:
    """The limit itself is allowed."""
    frame = b'{"model":"two","messages":[{"role":"user","content":"%b"}]}'
    assert send(http, frame % (b"x" * (32 * MIB - len(frame) + 2))).status_code == 200
    assert trio.two.seen[0].bytes == 32 * MIB


LARGE = {
    "a document": lambda: whole(completion("x" * 60 * MIB)),
    "numbers": lambda: whole(b'{"data":[{"embedding":[' + b"0.123456789," * (5 * MIB) + b"1]}]}"),
    "an event": lambda: stream(chunk("x" * 60 * MIB), END, DONE),
    "many events": lambda: stream(*[chunk("x" * MIB)] * 60, END, DONE),
}
"""Made when they are needed: they are large."""


@pytest.mark.parametrize("name", ["assistant", "whole"])
@pytest.mark.parametrize("kind", LARGE)
def test_an_answer_larger_than_any_buffer_passes(http: httpx.Client, wire: Wire, kind: str, name: str) -> None:
    """60 MiB: held as far as it may be, then let go unjudged, and whole."""
    wire.answer = LARGE[kind]()
    path = "embeddings" if kind == "numbers" else "chat/completions"
    for _ in range(3):
        answer = http.post(f"/v1/{path}", json={"model": name, "stream": "event" in kind})
        assert (answer.status_code, answer.headers["x-turnout-model"]) == (200, "wire")
        assert len(answer.content) > 60 * MIB


def test_a_client_that_waits_for_100_continue_is_served(http: httpx.Client, wire: Wire) -> None:
    """Expect: 100-continue, which curl sends with bodies above 1 MiB."""
    answer = http.post("/v1/chat/completions", content=ODD["compact"], headers={"expect": "100-continue"})
    assert answer.status_code == 200
    assert "expect" not in wire.asked[0].headers
