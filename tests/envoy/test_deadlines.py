"""One deadline over all attempts of a request, the group's or a shorter one of the client's."""

import time

import httpx
import pytest

from harness.asking import body, post
from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve
from harness.wire import DONE, END, ROLE, Wire, chunk, stream

PATIENT = {"circuit": {"failures": 1000}}


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """Three models that may take 800 ms each, and 1.3 s together."""
    timeouts = {"request": "800ms", "firstToken": "800ms", "total": "1300ms"}
    models = [p.manifest for p in trio]
    return serve(
        group("assistant", *models, timeouts=timeouts, **PATIENT),
        group("wired", model("wire", wire.url), timeouts={**timeouts, "total": "800ms"}),
        group("whole", *models, timeouts=timeouts, delivery="Complete", **PATIENT),
        group("twice", models[0], models[1], timeouts={"request": "5s"}, attemptsPerModel=2, **PATIENT),
        key("app"),
        *trio.secrets,
    )


@pytest.fixture
def http(router: Router) -> httpx.Client:
    """A client of it."""
    return router.http()


def granted(http: httpx.Client, milliseconds: str) -> httpx.Response:
    """A call with a deadline of the client's own."""
    headers = {"x-turnout-timeout-ms": milliseconds}
    return http.post("/v1/chat/completions", json=body("assistant"), headers=headers)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["assistant", "whole"])
def test_attempts_share_the_time_that_there_is(http: httpx.Client, trio: Trio, name: str, stream: bool) -> None:
    """The first hangs for its 800 ms, the second has what is left, the third is not asked any more: 504."""
    for provider in trio:
        provider.mode("hang")
    started = time.monotonic()
    answer = post(http, name, stream=stream)
    took = time.monotonic() - started
    assert answer.status_code == 504, answer.text
    assert 1.25 < took < 3.0
    assert answer.json()["error"]["type"] == "upstream_error"
    assert [len(p.seen) for p in trio] == [1, 1, 0]
    assert answer.headers["x-turnout-fallback"].startswith("one=timeout")


def test_a_client_may_grant_less(http: httpx.Client, trio: Trio) -> None:
    """x-turnout-timeout-ms: after 500 ms it is over; no provider hears of the header."""
    trio.one.mode("hang")
    started = time.monotonic()
    answer = granted(http, "500")
    assert answer.status_code == 504
    took = time.monotonic() - started
    assert 0.49 < took < 2.0
    assert not [name for name in trio.one.seen[0].headers if name.startswith("x-turnout")]


def test_a_client_may_not_grant_more(http: httpx.Client, trio: Trio) -> None:
    """The group's total stays."""
    for provider in trio:
        provider.mode("hang")
    started = time.monotonic()
    assert granted(http, "60000").status_code == 504
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "99999999999999999999999"])
def test_a_deadline_that_is_none_is_the_clients_mistake(http: httpx.Client, trio: Trio, value: str) -> None:
    """400 names the header; nobody is asked."""
    answer = granted(http, value)
    assert answer.status_code == 400
    assert "x-turnout-timeout-ms" in answer.json()["error"]["message"]
    assert not trio.one.seen


def test_a_stream_that_has_begun_is_not_cut_by_it(http: httpx.Client, wire: Wire) -> None:
    """The deadline is for the first content; a stream of more than a second comes whole."""
    wire.answer = stream(ROLE, chunk("a"), 0.4, chunk("b"), 0.4, chunk("c"), 0.4, END, DONE)
    answer = post(http, "wired", stream=True)
    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("data: [DONE]")


def test_a_second_attempt_at_one_model_waits_a_little(http: httpx.Client, trio: Trio) -> None:
    """At least 100 ms, so that what is passing can pass; then the same request is sent again, whole."""
    trio.one.mode("503", times=1)
    started = time.monotonic()
    answer = post(http, "twice")
    assert (answer.status_code, answer.headers["x-turnout-model"], answer.headers["x-turnout-attempts"]) == (
        200,
        "one",
        "2",
    )
    assert time.monotonic() - started >= 0.1
    first, second = trio.one.seen
    assert first.body == second.body


def test_a_second_attempt_after_a_lost_connection_waits_too(http: httpx.Client, trio: Trio) -> None:
    """Where Envoy retries what the filter did not see fail."""
    trio.one.mode("drop", times=1)
    started = time.monotonic()
    answer = post(http, "twice")
    assert (answer.status_code, answer.headers["x-turnout-model"]) == (200, "one")
    assert time.monotonic() - started >= 0.1
