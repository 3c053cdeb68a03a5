"""Keys: who is let in, to what, and until when; by the router alone, with no operator alive."""

from datetime import UTC, datetime, timedelta

import httpx
import openai
import pytest

from harness.asking import ask, body, code_of, post
from harness.manifests import group, key, token
from harness.providers import Trio
from harness.router import Router, Serve, eventually

SPEC = {"circuit": {"failures": 1000}}


def soon(**delta: float) -> str:
    """A time from now, as manifests write it."""
    return (datetime.now(UTC) + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio) -> Router:
    """Two groups and keys of every kind."""
    return serve(
        group("assistant", trio.one.manifest, trio.two.manifest, **SPEC),
        group("writer", trio.three.manifest, **SPEC),
        key("app"),
        key("one-group", "assistant"),
        key("chatter", scopes=("chat:create",)),
        key("embedder", scopes=("embeddings:create",)),
        key("lister", scopes=("models:list",)),
        key("dated", "assistant", scopes=("chat:create", "models:list"), expiresAt="2099-02-28T23:59:59Z"),
        key("limited", limits={"requestsPerMinute": 500, "tokensPerMinute": 100000}),
        key("dead", revoked=True),
        key("late", expiresAt="2020-01-01T00:00:00Z"),
        *trio.secrets,
    )


STRANGERS = {
    "no key": {},
    "an unknown key": {"authorization": "Bearer sk-nobody"},
    "an empty key": {"authorization": "Bearer"},
    "no scheme": {"authorization": token("app")[:-1]},
    "another scheme": {"authorization": f"Basic {token('app')}"},
    "a beginning of a key": {"authorization": f"Bearer {token('app')[:-1]}"},
    "a key and more": {"authorization": f"Bearer {token('app')}x"},
    "two keys": {"authorization": f"Bearer {token('app')}, Bearer {token('app')}"},
    "a revoked key": {"authorization": f"Bearer {token('dead')}"},
    "a key that expired long ago": {"authorization": f"Bearer {token('late')}"},
    "a key in another header": {"x-api-key": token("app")},
    "the name of a key": {"authorization": "Bearer app", "x-turnout-client": "app/id-app"},
}

CALLS = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/models"),
    ("GET", "/v1/auth/verify"),
    ("GET", "/v1/nothing"),
    ("GET", "/"),
]


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_strangers_are_refused_everywhere(router: Router, trio: Trio, method: str, path: str, stranger: str) -> None:
    """401 invalid_api_key on every path, and no provider hears of it."""
    http = router.http(None)
    answer = http.request(method, path, json=body() if method == "POST" else None, headers=STRANGERS[stranger])
    assert answer.status_code == 401
    assert code_of(answer) == "invalid_api_key"
    assert token("app") not in answer.text
    assert all(provider.seen == [] for provider in trio)


def test_the_sdk_raises_authentication_error(router: Router) -> None:
    """What a program sees of a wrong key."""
    with pytest.raises(openai.AuthenticationError) as raised:
        ask(router.sdk("nobody"))
    assert raised.value.code == "invalid_api_key"


def test_a_key_in_the_query_is_no_key(router: Router) -> None:
    """Only the Authorization header counts."""
    assert router.http(None).get("/v1/models", params={"api_key": token("app")}).status_code == 401


@pytest.mark.parametrize("names", [("app", "nobody"), ("nobody", "app")])
def test_two_authorization_headers_are_none(router: Router, names: tuple[str, str]) -> None:
    """Two parsers could read two different keys."""
    headers = [("authorization", f"Bearer {token(name)}") for name in names]
    assert router.http(None).get("/v1/models", headers=headers).status_code == 401


def test_the_scheme_may_be_spelt_in_any_case(router: Router) -> None:
    """RFC 9110: schemes are case-insensitive. Refused or let in, but never as somebody else."""
    answer = router.http(None).get("/v1/auth/verify", headers={"authorization": f"bearer {token('app')}"})
    assert answer.status_code == 401 or answer.json()["name"] == "app"


@pytest.mark.parametrize("name", ["writer", "three", "writer|one", "one|three", "assistant|writer"])
def test_a_group_outside_the_keys_list_is_forbidden(router: Router, trio: Trio, name: str) -> None:
    """403 in the SDK, whether the group, one of its models, or a chain with one of them was asked for."""
    with pytest.raises(openai.PermissionDeniedError) as raised:
        ask(router.sdk("one-group"), name)
    assert raised.value.code == "model_not_found"
    assert all(provider.seen == [] for provider in trio)


def test_what_is_in_the_keys_list_is_served(router: Router) -> None:
    """The other side of the same."""
    client = router.sdk("one-group")
    assert [ask(client, name).model for name in ("assistant", "two", "two|one")] == ["one", "two", "two"]


ALLOWED = {
    "chatter": {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models", "/v1/auth/verify"},
    "embedder": {"/v1/embeddings", "/v1/models", "/v1/auth/verify"},
    "lister": {"/v1/models", "/v1/auth/verify"},
    "app": {path for _, path in CALLS[:6]},
}


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize(("method", "path"), CALLS[:6])
def test_a_scope_that_the_key_lacks_is_forbidden(router: Router, trio: Trio, method: str, path: str, name: str) -> None:
    """403 insufficient_permissions that names the scope; who may use models may list them; verify is for every key."""
    sent = {**body(), "prompt": "x", "input": "x"} if method == "POST" else None
    answer = router.http(name).request(method, path, json=sent)
    if path in ALLOWED[name]:
        assert answer.status_code == 200
        return
    assert answer.status_code == 403
    assert code_of(answer) == "insufficient_permissions"
    assert ("embeddings:create" if "embed" in path else "models:list" if "models" in path else "chat:create") in (
        answer.json()["error"]["message"]
    )
    assert all(provider.seen == [] for provider in trio)


def test_verify_says_what_the_key_may(router: Router) -> None:
    """GET /v1/auth/verify: name, scopes, groups, expiry and limits, and nothing secret."""
    assert router.http("dated").get("/v1/auth/verify").json() == {
        "name": "dated",
        "scopes": ["chat:create", "models:list"],
        "modelGroups": ["assistant"],
        "expiresAt": "2099-02-28T23:59:59Z",
        "limits": {"requestsPerMinute": None, "tokensPerMinute": None},
    }
    answer = router.http("limited").get("/v1/auth/verify")
    assert answer.json() == {
        "name": "limited",
        "scopes": ["*"],
        "modelGroups": ["*"],
        "expiresAt": None,
        "limits": {"requestsPerMinute": 500, "tokensPerMinute": 100000},
    }
    assert token("limited") not in answer.text + str(answer.headers)


def test_a_key_expires_with_nobody_alive_to_tell_the_router(router: Router, trio: Trio) -> None:
    """The table says when; the router looks at the clock at each request."""
    spec = group("assistant", trio.one.manifest, **SPEC)
    router.publish(spec, key("app"), key("brief", expiresAt=soon(seconds=5)), *trio.secrets)
    http = router.http("brief")
    answer = eventually(lambda: a if (a := post(http)).status_code == 200 else None)
    assert answer.headers["x-turnout-model"] == "one"
    answer = eventually(lambda: a if (a := post(http)).status_code != 200 else None, within=15)
    assert answer.status_code == 401
    assert code_of(answer) == "invalid_api_key"
    assert http.get("/v1/models").status_code == 401
    assert http.get("/v1/auth/verify").status_code == 401
    assert post(router.http("app")).status_code == 200


def test_a_key_that_is_deleted_is_refused_at_once(router: Router, trio: Trio) -> None:
    """Within 2 s of the new configuration, and on connections that are open."""
    spec = [group("assistant", trio.one.manifest, **SPEC), *trio.secrets]
    router.publish(*spec, key("app"), key("leaver"))
    http = router.http("leaver")
    eventually(lambda: post(http).status_code == 200)
    router.publish(*spec, key("app"))
    eventually(lambda: post(http).status_code == 401, within=2)
    assert post(router.http("app")).status_code == 200


def test_with_no_keys_at_all_nobody_is_let_in(router: Router, trio: Trio) -> None:
    """An empty list of keys is not an open door."""
    router.publish(group("assistant", trio.one.manifest, **SPEC), *trio.secrets)
    for name in (None, "app"):
        http = router.http(name)
        eventually(lambda http=http: post(http).status_code == 401, within=2)
        for method, path in CALLS:
            assert http.request(method, path).status_code == 401
    assert trio.one.seen == []


def test_with_no_groups_at_all_the_router_still_answers(router: Router, trio: Trio) -> None:
    """A key without any group: an empty list of models, and 404 for each name."""
    router.publish(key("app"))
    http = router.http()
    eventually(lambda: http.get("/v1/models").status_code == 200)
    assert http.get("/v1/models").json() == {"object": "list", "data": []}
    answer: httpx.Response = post(http)
    assert (answer.status_code, code_of(answer)) == (404, "model_not_found")
