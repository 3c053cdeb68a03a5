"""What the client did wrong comes back at once: from the provider as it said it, from us in OpenAI's shape."""

import json
import socket

import httpx
import openai
import pytest

from harness.asking import ask, body, code_of, post
from harness.manifests import group, key, model, token
from harness.providers import Trio
from harness.router import Router, Serve
from harness.wire import Wire, whole

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """A chain that begins with the provider of bytes."""
    first = model("wire", wire.url)
    spec = {"circuit": {"failures": 1000}}
    return serve(group("assistant", first, trio.two.manifest, **spec), key("app"), *trio.secrets)


@pytest.fixture(scope="module")
def http(router: Router) -> httpx.Client:
    """A client with a good key."""
    return router.http()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_providers_own_words_come_back_at_once(http: httpx.Client, wire: Wire, trio: Trio, status: int) -> None:
    """400, 413 and 422 are the client's mistakes: unretried, status and bytes as the provider sent them."""
    said = b'{ "error" : {"message":"\\u00fcber lang", "odd":[1, 2 ],"type":"invalid_request_error"} }\n'
    wire.answer = whole(said, status, kind="application/json; charset=utf-8")
    answer = post(http)
    assert (answer.status_code, answer.content) == (status, said)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-turnout-attempts"] == "1"
    assert answer.headers["x-turnout-model"] == "wire"
    assert "x-turnout-fallback" not in answer.headers
    assert (len(wire.asked), len(trio.two.seen)) == (1, 0)


def test_the_providers_own_words_may_be_anything(http: httpx.Client, wire: Wire) -> None:
    """A mistake is passed on even if the provider explains it in HTML, or not at all."""
    for said in (b"<html>too long</html>", b""):
        wire.answer = whole(said, 400, kind="text/html")
        answer = post(http)
        assert (answer.status_code, answer.content) == (400, said)


def test_mistakes_open_no_circuit(router: Router, http: httpx.Client, wire: Wire) -> None:
    """A provider that says 400 is well."""
    wire.answer = whole({"error": {"message": "no"}}, 400)
    for _ in range(3):
        post(http)
    assert router.lanes()["wire"]["failures"] == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/v1"),
        ("POST", "/v1/"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/chat/completions/x"),
        ("POST", "/v1/chat/Completions"),
        ("POST", "/v2/chat/completions"),
        ("POST", "/chat/completions"),
        ("GET", "/v1/models/assistant"),
        ("DELETE", "/v1/models/assistant"),
        ("GET", "/v1/chat/completions/../../../ctl"),
        ("GET", "/v1/%2e%2e/ctl"),
        ("GET", "/ready"),
        ("GET", "/stats"),
        ("GET", "/lanes"),
        ("GET", "/drain"),
    ],
)
def test_a_path_that_we_do_not_serve_is_our_404(
    http: httpx.Client, wire: Wire, trio: Trio, method: str, path: str
) -> None:
    """Our own 404 in OpenAI's shape; no provider hears of it."""
    answer = http.request(method, path, content=json.dumps(body()))
    assert answer.status_code == 404
    assert code_of(answer) == "unknown_url"
    assert (wire.asked, trio.two.seen) == ([], [])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/completions", "POST"),
        ("GET", "/v1/embeddings", "POST"),
        ("DELETE", "/v1/responses", "POST"),
        ("POST", "/v1/models", "GET"),
        ("POST", "/v1/auth/verify", "GET"),
    ],
)
def test_a_wrong_method_is_our_405(http: httpx.Client, wire: Wire, method: str, path: str, allowed: str) -> None:
    """405, with the method that is allowed; no provider hears of it."""
    answer = http.request(method, path, content=b"{}" if method in ("POST", "PUT") else None)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert code_of(answer) == "method_not_supported"
    assert wire.asked == []


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"assistant"',
        b"model=assistant",
        b"{}",
        b'{"model": "assistant"',
        b'{"model": "assistant"} {}',
        b'{"model": null, "messages": []}',
        b'{"model": 7, "messages": []}',
        b'{"model": ["assistant"], "messages": []}',
        b'{"model": "", "messages": []}',
        b'{"model": "assistant", "messages": [], "model": "wire"}',
        b'{"model": "assistant", "messages": [], "mode\\u006c": "wire"}',
        b'{"model": "\\ud800"}',
        b"\xff\xfe",
        b'{"messages": [{"model": "assistant"}]}',
    ],
)
def test_a_body_that_names_no_model_is_our_400(http: httpx.Client, wire: Wire, sent: bytes) -> None:
    """No JSON, no model, or two of them, which two parsers could read differently: 400, and no provider hears of it."""
    answer = http.post("/v1/chat/completions", content=sent, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    code_of(answer)
    assert wire.asked == []


@pytest.mark.parametrize("name", ["nobody", "assistant|nobody", "|", "assistan", "ASSISTANT", "a" * 500, "x\ny"])
def test_an_unknown_model_is_our_404(router: Router, wire: Wire, name: str) -> None:
    """The SDK raises NotFoundError with OpenAI's code; no provider hears of it."""
    with pytest.raises(openai.NotFoundError) as raised:
        ask(router.sdk(), name)
    assert raised.value.code == "model_not_found"
    assert raised.value.param == "model"
    assert wire.asked == []


def test_a_message_repeats_the_clients_words_as_text_only(http: httpx.Client) -> None:
    """What a client sends comes back escaped: our errors are JSON whatever it says."""
    answer = post(http, '"}, "x": <script>\\\u0001\u00fc')
    assert answer.status_code == 404
    assert code_of(answer) == "model_not_found"


def test_a_body_above_32_mib_is_our_413(http: httpx.Client, wire: Wire) -> None:
    """Refused in OpenAI's shape; no provider hears of it."""
    sent = json.dumps(body(pad="x" * (32 * MIB))).encode()
    in_chunks = (sent[at : at + MIB] for at in range(0, len(sent), MIB))
    for content in (sent, in_chunks):
        answer = http.post("/v1/chat/completions", content=content)
        assert answer.status_code == 413
        assert code_of(answer) == "request_too_large"
    assert wire.asked == []


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nbad name: x\r\n\r\n",
    ],
)
def test_what_is_no_http_never_reaches_a_provider(router: Router, wire: Wire, sent: bytes) -> None:
    """Broken requests, and those whose length can be read in two ways, end with an error."""
    address = httpx.URL(router.url)
    with socket.create_connection((address.host, address.port or 0), timeout=5) as connection:
        connection.sendall(sent.replace(b"host: x", b"host: x\r\nauthorization: Bearer " + token("app").encode()))
        said = connection.recv(65536)
    assert said.startswith(b"HTTP/1.1 4")
    assert wire.asked == []


def test_header_names_with_underscores_are_refused(http: httpx.Client, wire: Wire) -> None:
    """x_turnout_key would be read as x-turnout-key by some servers."""
    answer = http.post("/v1/chat/completions", json=body(), headers={"x_turnout_key": "x"})
    assert answer.status_code == 400
    code_of(answer)
    assert wire.asked == []


def test_too_many_headers_are_refused_in_our_shape(http: httpx.Client) -> None:
    """431 in OpenAI's shape, as every local reply of Envoy's."""
    answer = http.post("/v1/chat/completions", json=body(), headers={f"x-{i}": "y" * 8000 for i in range(10)})
    assert answer.status_code == 431
    code_of(answer)
