"""Fallback within one request: whatever a provider does wrong, the next model of the chain makes it good."""

import time

import openai
import pytest

from harness.asking import ask, code_of, post
from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve
from harness.wire import COMPLETION, Step, Wire, whole

PATIENT = {"circuit": {"failures": 1000}}
"""No circuit opens, so that each test finds every lane."""

FAULTS = {
    "drop": "connection",
    "reset": "connection",
    "408": "408",
    "409": "409",
    "429": "429",
    "500": "500",
    "502": "502",
    "503": "503",
    "529": "529",
    "401": "401",
    "402": "402",
    "403": "403",
    "404": "404",
    "hang": "timeout",
    "html": "malformed",
    "garbage": "malformed",
    "empty": "malformed",
    "no-choices": "empty",
    "no-content": "empty",
    "error-event": "error_event",
}
"""What a provider does → the word for it in x-turnout-fallback."""


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire, refusing_port: int) -> Router:
    """Groups with a first model of every kind of trouble."""
    one, two, three = trio.models
    quick = {"timeouts": {"firstToken": "800ms", "idle": "800ms", "request": "800ms"}, **PATIENT}
    return serve(
        group("assistant", one, two, three, **quick),
        group("alone", one, **quick),
        group("wired", model("wire", wire.url, secret="one"), two, **quick),
        group("refusing", model("dead", f"http://127.0.0.1:{refusing_port}/v1"), two, **PATIENT),
        group("nowhere", model("nowhere", "http://name-that-does-not-resolve.invalid/v1"), two, **PATIENT),
        group("twice", one, two, **{**quick, "attemptsPerModel": 2}),
        key("app"),
        *trio.secrets,
    )


@pytest.fixture(scope="module")
def client(router: Router) -> openai.OpenAI:
    """The SDK, without retries of its own."""
    return router.sdk()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_model_makes_it_good(client: openai.OpenAI, trio: Trio, fault: str, stream: bool) -> None:
    """One attempt at the failing primary, one at the next model, and the client sees an answer and what happened."""
    trio.one.mode(fault)
    answer = ask(client, stream=stream)
    assert answer.text.startswith("Hello from two")
    assert answer.finish == "stop"
    assert (answer.model, answer.attempts) == ("two", 2)
    why = "empty" if stream and fault in ("empty", "garbage") else FAULTS[fault]
    assert answer.fallback == f"one={why}"
    assert (len(trio.one.seen), len(trio.two.seen), len(trio.three.seen)) == (1, 1, 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "dead"), [("refusing", "dead"), ("nowhere", "nowhere")])
def test_a_provider_that_cannot_be_reached_is_a_failed_attempt(
    client: openai.OpenAI, name: str, dead: str, stream: bool
) -> None:
    """A refused connection, and a name that does not resolve, fall back like any other failure."""
    answer = ask(client, name, stream=stream)
    assert (answer.model, answer.attempts, answer.fallback) == ("two", 2, f"{dead}=connection")


def test_a_good_primary_answers_alone(client: openai.OpenAI, trio: Trio) -> None:
    """Without trouble there is one attempt, and no word of a fallback."""
    answer = ask(client)
    assert answer.text.startswith("Hello from one")
    assert (answer.model, answer.attempts, answer.fallback) == ("one", 1, None)
    assert (len(trio.one.seen), len(trio.two.seen)) == (1, 0)


def test_the_chain_is_tried_to_its_end(client: openai.OpenAI, trio: Trio) -> None:
    """Two failures of two kinds, and the third model answers; the header names both."""
    trio.one.mode("503")
    trio.two.mode("hang")
    answer = ask(client)
    assert (answer.model, answer.attempts, answer.fallback) == ("three", 3, "one=503, two=timeout")


def test_at_the_end_of_the_chain_the_last_answer_stands(client: openai.OpenAI, trio: Trio) -> None:
    """Nobody helps: the last provider's own error reaches the client, with the whole story in the headers."""
    trio.one.mode("500")
    trio.two.mode("503")
    trio.three.mode("429:2")
    with pytest.raises(openai.RateLimitError, match="told to answer 429") as raised:
        ask(client)
    headers = raised.value.response.headers
    assert headers["x-turnout-fallback"] == "one=500, two=503, three=429"
    assert headers["x-turnout-attempts"] == "3"
    assert headers["retry-after"] == "2"


def test_our_own_refusal_is_never_the_clients(client: openai.OpenAI, trio: Trio) -> None:
    """If every provider refuses our credential, the client hears 502, and not a 401 that it would take for its own."""
    for provider in trio:
        provider.mode("401")
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client)
    assert raised.value.status_code == 502
    assert raised.value.code == "provider_refused"
    assert "three" in str(raised.value)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_refusal_is_shown_on_lanes_until_the_next_success(router: Router, trio: Trio, status: int) -> None:
    """The provider's status and message stand on /lanes, for the group's condition; a success takes them away."""
    client = router.sdk()
    trio.one.mode(str(status))
    before = time.time() * 1000
    ask(client)
    refusal = router.lanes()["one"]["refusal"]
    assert refusal["status"] == status
    assert refusal["message"] == f"This fake provider was told to answer {status}."
    assert before - 1000 <= refusal["atMs"] <= time.time() * 1000 + 1000
    trio.one.reset()
    assert ask(client).model == "one"
    assert router.lanes()["one"]["refusal"] is None


def test_a_refusal_that_repeats_our_credential_is_redacted(router: Router, wire: Wire) -> None:
    """Providers quote the wrong key in their message; it must not stand on /lanes, whole or in any other place."""
    message = "Incorrect API key provided: credential-of-one. " + "x" * 1000
    wire.answer = whole({"error": {"message": message, "type": "x", "code": "invalid_api_key"}}, 401)
    assert post(router.http(), "wired").headers["x-turnout-model"] == "two"
    shown = router.lanes()["wire"]["refusal"]["message"]
    assert shown.startswith("Incorrect API key provided: ")
    assert "credential-of-one" not in shown
    assert len(shown) <= 320
    assert "credential-of-one" not in router.status.get("/lanes").text


ODD_ANSWERS = {
    "switching protocols": [b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"],
    "not modified": [b"HTTP/1.1 304 Not Modified\r\n\r\n"],
    "no content": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "no body": [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    "headers without end": [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000],
}


@pytest.mark.parametrize("kind", ODD_ANSWERS)
def test_what_is_no_answer_at_all_is_made_good(client: openai.OpenAI, wire: Wire, kind: str) -> None:
    """Statuses that no API has, bytes that are no HTTP: the next model is asked."""
    wire.answer = ODD_ANSWERS[kind]
    assert ask(client, "wired").model == "two"


def test_early_hints_are_no_answer(client: openai.OpenAI, wire: Wire) -> None:
    """What comes before the answer is passed over."""
    wire.answer = [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", *whole(COMPLETION)]
    assert ask(client, "wired").model == "wire"


def test_attempts_per_model_tries_a_model_as_often(router: Router, trio: Trio) -> None:
    """attemptsPerModel: 2 asks a failing model twice before it is left."""
    trio.one.mode("503")
    answer = ask(router.sdk(), "twice")
    assert (answer.model, answer.attempts, answer.fallback) == ("two", 3, "one=503, one=503")
    assert len(trio.one.seen) == 2


def test_attempts_per_model_stops_at_the_first_answer(router: Router, trio: Trio) -> None:
    """What passes is made good by the same model."""
    trio.one.mode("503", times=1)
    answer = ask(router.sdk(), "twice")
    assert (answer.model, answer.attempts, answer.fallback) == ("one", 2, "one=503")


@pytest.mark.parametrize("fault", ["drop", "reset"])
def test_a_model_alone_gets_one_quick_retry(router: Router, trio: Trio, fault: str) -> None:
    """A broken connection is surely passing: with nobody else to ask, the same model is asked once more."""
    trio.one.mode(fault, times=1)
    answer = ask(router.sdk(), "alone")
    assert (answer.model, answer.attempts) == ("one", 2)


def test_a_model_alone_that_stays_down_is_an_error(router: Router, trio: Trio) -> None:
    """Two attempts, then an error in OpenAI's shape."""
    trio.one.mode("drop")
    answer = post(router.http(), "alone")
    assert answer.status_code >= 500
    code_of(answer)
    assert len(trio.one.seen) == 2


@pytest.mark.parametrize("seconds", ["0", "1"])
def test_a_short_retry_after_is_waited_out_on_a_model_alone(router: Router, trio: Trio, seconds: str) -> None:
    """429 with Retry-After of at most 2 s, and nobody else to ask: waited out, and tried once more."""
    trio.one.mode(f"429:{seconds}", times=1)
    started = time.monotonic()
    answer = ask(router.sdk(), "alone")
    assert (answer.model, answer.attempts) == ("one", 2)
    assert float(seconds) <= time.monotonic() - started < float(seconds) + 2


def test_openais_retry_after_in_milliseconds_is_understood(router: Router, wire: Wire) -> None:
    """Finer than seconds, and it comes first where both are there; waited out in whole seconds."""
    wire.answers = [whole({}, 429, retry_after_ms="300", retry_after="60")]
    answer = ask(router.sdk(), "wire")
    assert (answer.model, answer.attempts) == ("wire", 2)


def test_a_short_retry_after_is_waited_out_once(router: Router, trio: Trio) -> None:
    """A model that is still at its limit afterwards is believed, and the client gets its 429."""
    trio.one.mode("429:0")
    answer = post(router.http(), "alone")
    assert answer.status_code == 429
    assert len(trio.one.seen) == 2


def test_a_long_retry_after_is_not_waited_out(router: Router, trio: Trio) -> None:
    """Above 2 s the client is told at once, with the provider's own Retry-After."""
    trio.one.mode("429:3", times=1)
    started = time.monotonic()
    answer = post(router.http(), "alone")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert time.monotonic() - started < 2
    assert len(trio.one.seen) == 1


def test_a_chain_waits_for_nobody(client: openai.OpenAI, trio: Trio) -> None:
    """With another model to ask, a Retry-After costs no time."""
    trio.one.mode("429:2")
    started = time.monotonic()
    assert ask(client).model == "two"
    assert time.monotonic() - started < 1.5


def test_half_an_answer_is_never_shown(client: openai.OpenAI, wire: Wire) -> None:
    """A JSON answer that breaks off in the middle is never shown: the next model is asked."""
    start = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"choices": [{"mess'
    for end in (Step.CUT, Step.RESET, Step.STALL):
        wire.answer = [start, end]
        answer = ask(client, "wired")
        assert answer.model == "two", end
        assert answer.text.startswith("Hello from two")
