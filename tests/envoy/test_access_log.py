"""The access log of the real Envoy: a line of JSON for each request, whatever came of it, and nothing secret in it."""

import contextlib
import json
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.asking import body, post
from harness.manifests import group, key, model, token
from harness.providers import Trio
from harness.router import Router, Serve, eventually
from harness.wire import DONE, END, ROLE, Step, Wire, chunk, completion, event, stream, whole

SPEC = {"circuit": {"failures": 1000}, "timeouts": {"firstToken": "1s", "idle": "1s", "request": "1s"}}
PRICE = {"input": "0.14", "output": "0.42", "cachedInput": "0.014"}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 400}}
COST = "0.0001106"  # 600 fresh, 400 cached and 50 written tokens at PRICE
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIMED = ("time", "durationMs", "firstByteMs", "requestId", "bytesIn", "bytesOut")
"""Members that differ from run to run."""

UNKNOWN = {"tokensIn": None, "tokensCached": None, "tokensOut": None, "costUsd": None}
KNOWN = {"tokensIn": 1000, "tokensCached": 400, "tokensOut": 50, "costUsd": COST}
CHAT = {"method": "POST", "path": "/v1/chat/completions", "key": "app", "asked": "assistant", "group": "assistant"}


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """A chain from the provider of bytes to a good one, live and complete, two workers, the log on."""
    first = model("wire", wire.url, secret="one", price=PRICE)
    chain = [first, trio.two.manifest]
    return serve(
        group("assistant", *chain, **SPEC),
        group("alone", first, **SPEC),
        group("complete", *chain, **SPEC, delivery="Complete"),
        key("app"),
        key("narrow", "alone"),
        *trio.secrets,
        workers=2,
        access_log=True,
    )


@pytest.fixture
def logged(router: Router) -> Callable[[], dict[str, Any]]:
    """Waits for the one line that is written after the test's begin."""
    before = len(router.requests())

    def logged() -> dict[str, Any]:
        (line,) = eventually(lambda: router.requests()[before:])
        return dict(line)

    return logged


def steady(line: dict[str, Any]) -> dict[str, Any]:
    """The line without what differs from run to run, the time of attempts included."""
    attempts = [{**a, "ms": 0} for a in line["attempts"]]
    return {name: value for name, value in {**line, "attempts": attempts}.items() if name not in TIMED}


def tried(line: dict[str, Any]) -> list[str]:
    """Its attempts as short words."""
    return [f"{a['model']}={a['result']}" for a in line["attempts"]]


def test_an_answer_has_everything(router: Router, wire: Wire, logged: Callable[[], dict[str, Any]]) -> None:
    """Who asked, for what, who answered, when, how long, how many bytes, tokens and dollars."""
    wire.answer = [0.05, *whole(completion(usage=USAGE))]
    answer = post(router.http())
    line = logged()
    attempts = [{"model": "wire", "result": "ok", "ms": 0}]
    told = {"status": 200, "flags": "-", "stream": False, "model": "wire", "attempts": attempts}
    assert steady(line) == {**CHAT, **told, **KNOWN}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert UUID.fullmatch(line["requestId"])
    assert (line["bytesIn"], line["bytesOut"]) == (len(answer.request.content), len(answer.content))
    assert line["attempts"][0]["ms"] >= 45
    assert line["attempts"][0]["ms"] <= line["firstByteMs"] <= line["durationMs"] + 1  # two clocks, whole milliseconds
    assert answer.headers["x-token-cost"] == line["costUsd"]


def test_a_fallback_tells_every_attempt(router: Router, wire: Wire, logged: Callable[[], dict[str, Any]]) -> None:
    """With the words of the metrics, in order, each with its own time; the tokens are those of the answer."""
    wire.answer = [Step.STALL]
    post(router.http())
    line = logged()
    assert (line["status"], line["model"], tried(line)) == (200, "two", ["wire=timeout", "two=ok"])
    assert line["attempts"][0]["ms"] >= 950
    assert line["attempts"][1]["ms"] < line["durationMs"]
    assert (line["tokensOut"] > 0, line["costUsd"]) == (True, None), "two has no price"


def test_a_stream_tells_its_first_content_and_its_end(
    router: Router, wire: Wire, logged: Callable[[], dict[str, Any]]
) -> None:
    """Its firstByteMs is the first content's, not that of the provider's headers; tokens come last."""
    usage = event({**completion(), "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    wire.answer = stream(ROLE, 0.1, chunk("a"), 0.6, chunk("b"), END, usage, DONE)
    post(router.http(), stream=True)
    line = logged()
    assert steady(line)["stream"] is True
    assert {name: line[name] for name in KNOWN} == KNOWN
    assert line["firstByteMs"] >= 95
    assert line["durationMs"] >= line["firstByteMs"] + 150
    assert tried(line) == ["wire=ok"]


@pytest.mark.parametrize("delivery", ["assistant", "complete"])
def test_each_request_has_one_line(
    router: Router, wire: Wire, delivery: str, logged: Callable[[], dict[str, Any]]
) -> None:
    """Also when it passes the hop inside of Envoy."""
    wire.answer = stream(ROLE, Step.CUT)
    post(router.http(), delivery, stream=True)
    line = logged()
    assert (line["asked"], line["model"]) == (delivery, "two")
    assert tried(line)[-1] == "two=ok"


def test_a_client_that_leaves_in_a_stream_is_told(
    router: Router, wire: Wire, logged: Callable[[], dict[str, Any]]
) -> None:
    """Status 200 had been sent; Envoy's flag and the attempt say that the client hung up."""
    wire.answer = stream(ROLE, chunk("a"), Step.STALL)
    with router.http().stream("POST", "/v1/chat/completions", json=body(stream=True)) as answer:
        next(answer.iter_raw())
    line = logged()
    assert (line["status"], line["flags"], line["model"], tried(line)) == (200, "DC", "wire", ["wire=hung_up"])


def test_a_client_that_leaves_before_an_answer_is_told(
    router: Router, wire: Wire, logged: Callable[[], dict[str, Any]]
) -> None:
    """Status 0, nobody answered, and the attempt's time is how long it waited."""
    wire.answer = [Step.STALL]
    with pytest.raises(httpx.ReadTimeout):
        post(router.http(timeout=0.6))
    line = logged()
    known = {"status": 0, "flags": "DC", "model": None, "firstByteMs": None, **UNKNOWN}
    assert {name: line[name] for name in known} == known
    assert tried(line) == ["wire=hung_up"]
    assert line["attempts"][0]["ms"] >= 150


BROKEN = {
    "truncated": [Step.CUT],
    "stalled": [Step.STALL],
    "error_event": [event({"error": {"message": "The server had an error", "type": "server_error"}})],
}


@pytest.mark.parametrize("result", BROKEN)
def test_a_stream_that_breaks_is_told(
    router: Router, wire: Wire, logged: Callable[[], dict[str, Any]], result: str
) -> None:
    """The client had some of it: the model is the one that it came from."""
    wire.answer = stream(ROLE, chunk("a"), *BROKEN[result])
    with contextlib.suppress(httpx.RemoteProtocolError):
        post(router.http(), stream=True)
    line = logged()
    assert (line["status"], line["model"], tried(line)) == (200, "wire", [f"wire={result}"])


def test_a_chain_that_fails_names_no_model(router: Router, wire: Wire, logged: Callable[[], dict[str, Any]]) -> None:
    """All was tried, nobody has answered."""
    wire.answer = [Step.CUT]
    assert post(router.http(), "alone").status_code == 503
    line = logged()
    assert (line["status"], line["model"], tried(line)) == (503, None, ["wire=connection", "wire=connection"])


REFUSED: dict[str, tuple[str | None, str, str, dict[str, Any]]] = {
    "no key": (None, "GET", "/v1/models", {"status": 401, "key": None, "path": "/v1/models"}),
    "a wrong key": ("nobody", "GET", "/v1/models", {"status": 401, "key": None, "path": "/v1/models"}),
    "a path that is none": ("app", "GET", '/v1/a"b?key=x', {"status": 404, "key": "app", "path": "/v1/a%22b"}),
    "a model that is none": ("app", "POST", 'a"b', {"status": 404, "key": "app", "asked": 'a"b'}),
    "a model of others": ("narrow", "POST", "assistant", {"status": 403, "key": "narrow", "asked": "assistant"}),
    "no refusal": ("app", "GET", "/v1/models?x", {"status": 200, "key": "app", "path": "/v1/models"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_never_sees_a_provider_is_told(router: Router, logged: Callable[[], dict[str, Any]], case: str) -> None:
    """With the key's name where it has one, and without any attempt."""
    key_name, method, what, expected = REFUSED[case]
    http = router.http(key_name)
    answer = post(http, what) if method == "POST" else http.get(what)
    assert answer.status_code == expected["status"]
    line = logged()
    assert {name: line[name] for name in expected} == expected
    assert UUID.fullmatch(line["requestId"])
    assert not {"attempts", "model", "group"} & set(line)


@pytest.mark.parametrize("words", ['GET /v1/models HTTP/1.1\r\nx-request-id: "b\\\r\n', "nonsense\r\n"])
def test_what_is_no_request_is_told_by_envoy_alone(
    router: Router, logged: Callable[[], dict[str, Any]], words: str
) -> None:
    """The line is JSON whatever was sent."""
    host, port = router.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{words}\r\n".encode())
        assert b" 400 " in connection.recv(1000)
    assert logged()["status"] == 400


def test_a_clients_own_request_id_is_replaced(router: Router, logged: Callable[[], dict[str, Any]]) -> None:
    """Each request has an id of ours: nobody can write another's into the log."""
    router.http().get("/v1/models", headers={"x-request-id": "0f0f0f0f-0000-4000-8000-000000000000"})
    found = logged()["requestId"]
    assert UUID.fullmatch(found)
    assert not found.startswith("0f0f0f0f")


def test_nothing_secret_is_in_it(router: Router, trio: Trio, wire: Wire) -> None:
    """No token, credential, prompt, answer, header or query, whatever the request comes to."""
    marks = {"user-agent": "mark-agent", "x-custom": "mark-header", "cookie": "mark-cookie", "x-request-id": "mark-id"}
    fields = {"messages": [{"role": "user", "content": "mark-prompt"}], "user": "mark-user"}
    path = "/v1/chat/completions?api_key=mark-query"
    before = len(router.requests())
    asked = 0
    for answer in (
        whole(completion("mark-answer"), openai_version="mark-provider"),
        stream(ROLE, chunk("mark-answer"), END, DONE),
        whole({"error": {"message": f"mark-error {trio.one.credential}"}}, 401),
        whole({"error": {"message": "mark-error"}}, 500),
    ):
        wire.answer = answer
        for name in ("app", "narrow", "nobody"):
            for model_name in ("assistant", "alone", "complete"):
                for streams in (False, True):
                    asked += 1
                    sent = {"model": model_name, "stream": streams, **fields}
                    router.http(name).post(path, json=sent, headers=marks)
    eventually(lambda: len(router.requests()) == before + asked)
    text = router.printed()
    secrets = [token(name) for name in ("app", "narrow", "nobody")] + [p.credential for p in trio]
    assert [s for s in (*secrets, "mark-", "Bearer", "authorization", "id-app", "?") if s in text] == []


def test_lines_of_many_workers_do_not_mix(router: Router) -> None:
    """As many lines as requests, each whole."""
    before = len(router.requests())
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: post(router.http()).status_code, range(80)))
    assert statuses == [200] * 80
    lines = eventually(lambda: found if len(found := router.requests()[before:]) >= 80 else None)
    assert len({line["requestId"] for line in lines}) == len(lines) == 80


def test_without_the_switch_nothing_is_printed(trio: Trio, folder: Path) -> None:
    """Nor does the filter leave anything for a logger, as one that stands there without the switch shows."""
    router = Router(folder)
    config = json.loads((folder / "bootstrap.json").read_bytes())
    assert "metadata" not in config["node"]
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert "access_log" not in manager
    manager["access_log"] = [{"name": "stdout", "typed_config": {"@type": STDOUT, "log_format": LEFT}}]
    (folder / "bootstrap.json").write_text(json.dumps(config))
    try:
        router.start(group("assistant", trio.one.manifest, **SPEC), key("app"), *trio.secrets)
        assert post(router.http()).status_code == 200
        assert eventually(router.printed) == "left: -"
    finally:
        router.stop()


STDOUT = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
LEFT = {"text_format_source": {"inline_string": "left: %FILTER_STATE(wasm.log:PLAIN)%\n"}}
