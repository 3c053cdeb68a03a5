"""Headers: what providers are never told, what clients cannot bring in, and what answers carry."""

import gzip
import json
from collections.abc import Iterator

import httpx
import pytest

from harness.asking import ask, body, post
from harness.manifests import group, key, model, token
from harness.providers import Trio
from harness.router import Router, Serve
from harness.wire import COMPLETION, Wire, whole


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, wire: Wire) -> Router:
    """Providers of bytes with and without a credential, below odd base URLs."""
    spec = {"circuit": {"failures": 1000}}
    base = f"http://127.0.0.1:{wire.port}"
    return serve(
        group("assistant", model("wire", wire.url, secret="one"), **spec),
        group("bare", model("bare", wire.url), **spec),
        group("mixed", model("wire", wire.url, secret="one"), model("bare", wire.url), **spec),
        group("deep", model("deep", f"{base}/v1beta/openai/"), **spec),
        group("rooted", model("rooted", base), **spec),
        group("good", trio.one.manifest, **spec),
        key("app"),
        *trio.secrets,
    )


@pytest.fixture(scope="module")
def http(router: Router) -> httpx.Client:
    """A client with a good key."""
    return router.http()


HOP_BY_HOP = {
    "connection": "close, x-nominated",
    "x-nominated": "hop",
    "keep-alive": "timeout=5",
    "proxy-authorization": "Basic eDp5",
    "te": "trailers",
    "trailer": "x",
    "upgrade": "h2c",
}
OURS = {
    "x-turnout-key": "other",
    "x-turnout-client": "other/1",
    "x-turnout-group": "good",
    "x-turnout-rpm": "1",
    "x-turnout-tpm": "1",
    "x-turnout-reply": "1",
    "x-turnout-retry": "1",
    "x-turnout-timeout": "1",
    "x-turnout-timeout-ms-2": "1",
    "x-envoy-max-retries": "50",
    "x-envoy-retry-on": "5xx",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-expected-rq-timeout-ms": "1",
    "x-envoy-hedge-on-per-try-timeout": "true",
    "x-envoy-original-path": "/ctl",
    "x-envoy-force-trace": "1",
    "x-envoy-internal": "true",
}
WHO = {
    "api-key": token("app"),
    "x-api-key": token("app"),
    "x-goog-api-key": token("app"),
    "cookie": f"session={token('app')}",
    "forwarded": "for=192.0.2.1",
    "via": "1.1 x",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-host": "x",
    "x-forwarded-proto": "https",
    "x-real-ip": "192.0.2.1",
    "accept-encoding": "gzip, br",
}
FOR_US = {"x-turnout-timeout-ms": "60000"}
PASSED = {"user-agent": "mine/1", "accept": "application/json", "x-custom": "kept", "openai-beta": "assistants=v2"}


def test_providers_are_told_nothing_that_is_not_for_them(http: httpx.Client, wire: Wire) -> None:
    """Hop-by-hop headers, ours, Envoy's, the client's key under any name, who the client is: all gone; others stay."""
    answer = http.post("/v1/chat/completions", json=body(), headers={**HOP_BY_HOP, **OURS, **FOR_US, **WHO, **PASSED})
    assert answer.status_code == 200
    asked = wire.asked[0]
    expected = {"host", "content-type", "content-length", "authorization", *PASSED}
    assert set(asked.headers) == expected
    assert {name: asked.headers[name] for name in PASSED} == {name: [value] for name, value in PASSED.items()}
    assert asked.headers["authorization"] == ["Bearer credential-of-one"]
    assert token("app") not in asked.head


def test_the_sdks_requests_carry_what_the_sdk_sets(router: Router, wire: Wire) -> None:
    """User agent and x-stainless-* are the client's own and pass."""
    ask(router.sdk())
    names = set(wire.asked[0].headers)
    assert "x-stainless-lang" in names
    assert not [n for n in names if n.startswith(("x-turnout", "x-envoy", "x-forwarded", "x-request-id"))]


def test_a_provider_without_a_credential_gets_none(http: httpx.Client, wire: Wire) -> None:
    """Above all not the client's key, and after a fallback not the other provider's credential."""
    assert post(http, "bare").status_code == 200
    assert "authorization" not in wire.asked[0].headers
    wire.answers = [whole({"error": {"message": "x"}}, 503)]
    assert post(http, "mixed").headers["x-turnout-model"] == "bare"
    with_one, without = wire.asked[1:]
    assert with_one.headers["authorization"] == ["Bearer credential-of-one"]
    assert "authorization" not in without.headers
    assert "credential" not in without.head


@pytest.mark.parametrize("name", OURS)
def test_our_headers_from_a_client_have_no_effect(http: httpx.Client, wire: Wire, name: str) -> None:
    """Each of them alone: same answer, by the group that was asked for, after one attempt, though it takes a while."""
    wire.answer = [0.05, *whole(COMPLETION)]
    answer = http.post("/v1/chat/completions", json=body(), headers={name: OURS[name]})
    assert (answer.status_code, answer.headers["x-turnout-model"]) == (200, "wire")
    assert len(wire.asked) == 1


def test_our_headers_open_no_door(router: Router, wire: Wire) -> None:
    """Without a key, headers that name a client or mark our own reply change nothing."""
    answer = router.http(None).post("/v1/chat/completions", json=body(), headers=OURS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert wire.asked == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("assistant", "/v1/chat/completions"),
        ("deep", "/v1beta/openai/chat/completions"),
        ("rooted", "/chat/completions"),
    ],
)
def test_paths_stand_under_any_base_url(http: httpx.Client, wire: Wire, name: str, path: str) -> None:
    """The base URL's path takes the place of /v1; Host is the provider's."""
    assert post(http, name).status_code == 200
    assert wire.asked[0].line == f"POST {path} HTTP/1.1"
    assert wire.asked[0].headers["host"] == [f"127.0.0.1:{wire.port}"]


PROVIDERS_OWN = {
    "x_turnout_model": "liar",
    "x_turnout_attempts": "99",
    "x_turnout_retry": "1",
    "x_turnout_wait": "2",
    "x_token_cost": "99",
    "x_ratelimit_limit_requests": "99",
    "x_ratelimit_remaining_tokens": "99",
    "x_envoy_upstream_service_time": "99",
    "x_envoy_overloaded": "true",
    "x_envoy_immediate_health_check_fail": "true",
    "set_cookie": "session=1",
    "alt_svc": 'h3=":443"',
    "strict_transport_security": "max-age=1",
    "server": "nginx",
}


@pytest.mark.parametrize("status", [200, 400])
def test_a_provider_cannot_speak_for_us(http: httpx.Client, wire: Wire, status: int) -> None:
    """Our headers, Envoy's, its account's limits, its cookies: none reaches the client; the rest does."""
    wire.answer = whole(COMPLETION, status, openai_version="2020-10-01", x_request_id="r", **PROVIDERS_OWN)
    answer = post(http)
    assert answer.status_code == status
    assert (answer.headers["openai-version"], answer.headers["x-request-id"]) == ("2020-10-01", "r")
    assert (answer.headers["x-turnout-model"], answer.headers["x-turnout-attempts"]) == ("wire", "1")
    assert len(wire.asked) == 1
    kept = {n for n in answer.headers if n.startswith(("x-turnout", "x-envoy", "x-ratelimit", "x-token"))}
    assert kept <= {"x-turnout-model", "x-turnout-attempts"}
    assert not {"set-cookie", "alt-svc", "strict-transport-security"} & set(answer.headers)
    assert answer.headers["server"] == "turnout"


def test_a_redirect_is_not_passed_on(http: httpx.Client, wire: Wire) -> None:
    """A client that follows it would take its key elsewhere: it is a failed attempt, without a location."""
    wire.answer = whole(b"", 307, location="https://elsewhere.example/v1/chat/completions")
    answer = post(http)
    assert answer.status_code == 502
    assert "location" not in answer.headers


def test_a_provider_that_compresses_all_the_same_is_passed_on(http: httpx.Client, wire: Wire) -> None:
    """It was not asked to; what cannot be read is not judged, and its bytes are the client's."""
    packed = gzip.compress(json.dumps(COMPLETION).encode())
    wire.answer = whole(packed, content_encoding="gzip")
    assert post(http).json() == COMPLETION


def test_answers_are_not_compressed_by_us(router: Router, trio: Trio) -> None:
    """Providers are not offered it, so that answers can be read on their way."""
    answer = router.http().post("/v1/chat/completions", json=body("good"), headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert "accept-encoding" not in trio.one.seen[0].headers


def test_connections_are_kept(router: Router, wire: Wire) -> None:
    """A client's next request, and the provider's, use the connection that is there."""
    with router.http() as http:
        post(http)
        before = wire.connections
        for _ in range(5):
            assert "connection" not in post(http).headers
    assert wire.connections == before


def test_a_body_in_chunks_has_no_transfer_encoding_left_over(http: httpx.Client, wire: Wire) -> None:
    """The provider gets one framing, not two."""

    def pieces() -> Iterator[bytes]:
        yield json.dumps(body()).encode()

    assert http.post("/v1/chat/completions", content=pieces()).status_code == 200
    assert ("transfer-encoding" in wire.asked[0].headers) != ("content-length" in wire.asked[0].headers)
