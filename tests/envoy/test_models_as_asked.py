"""What may stand in `model`: a group, a model of a group, or a chain for this one request. And /v1/models."""

import openai
import pytest

from harness.asking import ask, post
from harness.manifests import group, key
from harness.providers import Trio
from harness.router import Router, Serve


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio) -> Router:
    """Two groups that share models, in different order; one with a model that is only a canary."""
    one, two, three = trio.models
    spec = {"circuit": {"failures": 1000}}
    return serve(
        group("assistant", one, two, **spec),
        group("writer", two, three, **spec),
        group("careful", one, {**two, "fallback": False}, three, **spec),
        group("renamed", {**one, "name": "fancy", "upstreamName": "plain \u00fc"}, **spec),
        key("app"),
        key("writing", "writer"),
        key("other", "assistant"),
        *trio.secrets,
    )


@pytest.fixture(scope="module")
def client(router: Router) -> openai.OpenAI:
    """The SDK, without retries of its own."""
    return router.sdk()


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("assistant", "one"),
        ("writer", "two"),
        ("one", "one"),
        ("three", "three"),
        ("three|one", "three"),
        ("two|writer", "two"),
        ("writer|one", "two"),
    ],
)
def test_the_first_of_what_was_asked_answers(client: openai.OpenAI, name: str, first: str) -> None:
    """A group is its primary, a model is itself, a chain is its first."""
    answer = ask(client, name)
    assert (answer.model, answer.attempts) == (first, 1)
    assert answer.text.startswith(f"Hello from {first}, speaking as {first}.")


@pytest.mark.parametrize(
    ("name", "last", "tried"),
    [
        ("three|one", "one", "three=503"),
        ("three|two|one", "one", "three=503, two=503"),
        ("writer|one", "one", "two=503, three=503"),
        ("two|assistant", "one", "two=503"),
        (" three | one ", "one", "three=503"),
        ("three|three|one", "one", "three=503"),
    ],
)
def test_a_chain_is_tried_in_its_order(client: openai.OpenAI, trio: Trio, name: str, last: str, tried: str) -> None:
    """Groups inside a chain are spelt out; nobody is asked twice."""
    for provider in trio[1:]:
        provider.mode("503")
    answer = ask(client, name)
    assert (answer.model, answer.fallback) == (last, tried)


def test_a_model_asked_by_name_has_no_fallback(client: openai.OpenAI, trio: Trio) -> None:
    """Who names one model means that one: its error comes back."""
    trio.one.mode("503")
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, "one")
    assert raised.value.status_code == 503
    assert trio.two.seen == []


def test_a_model_that_is_no_fallback_is_never_one(client: openai.OpenAI, trio: Trio) -> None:
    """It takes no part in fallback, and answers when asked by name."""
    trio.one.mode("503")
    answer = ask(client, "careful")
    assert (answer.model, answer.fallback) == ("three", "one=503")
    assert ask(client, "two").model == "two"


def test_the_provider_is_asked_for_its_own_name(router: Router, trio: Trio) -> None:
    """Clients and headers say the model's name, the provider hears its upstreamName; its answer is left as it is."""
    answer = post(router.http(), "fancy")
    assert answer.headers["x-turnout-model"] == "fancy"
    assert trio.one.seen[0].model == "plain \u00fc"
    assert answer.json()["model"] == "plain \u00fc"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("app", ["assistant", "careful", "renamed", "writer", "fancy", "one", "two", "three"]),
        ("writing", ["writer", "two", "three"]),
        ("other", ["assistant", "one", "two"]),
    ],
)
def test_models_lists_what_the_key_may_use(router: Router, name: str, names: list[str]) -> None:
    """GET /v1/models: the allowed groups and their models, each once, in OpenAI's shape for the SDK."""
    listed = router.sdk(name).models.list().data
    assert sorted(m.id for m in listed) == sorted(names)
    assert {m.object for m in listed} == {"model"}
    assert all(m.owned_by for m in listed)


def test_every_listed_name_answers(router: Router) -> None:
    """What /v1/models lists can be used as `model`."""
    client = router.sdk("writing")
    for listed in client.models.list().data:
        assert ask(client, listed.id).text


@pytest.mark.parametrize("stream", [False, True])
def test_responses_fall_back(client: openai.OpenAI, trio: Trio, stream: bool) -> None:
    """POST /v1/responses, whole and streamed, through the SDK."""
    trio.one.mode("503")
    if not stream:
        assert client.responses.create(model="assistant", input="x").output_text.startswith("Hello from two")
        return
    events = list(client.responses.create(model="assistant", input="x", stream=True))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text.startswith("Hello from two")


@pytest.mark.parametrize("stream", [False, True])
def test_completions_fall_back(client: openai.OpenAI, trio: Trio, stream: bool) -> None:
    """POST /v1/completions, whole and streamed, through the SDK."""
    trio.one.mode("cut:0" if stream else "garbage")
    said = client.completions.create(model="assistant", prompt="x", stream=stream)
    pieces = [said] if not stream else list(said)
    assert "".join(p.choices[0].text for p in pieces).startswith("Hello from two")


def test_embeddings_fall_back(client: openai.OpenAI, trio: Trio) -> None:
    """POST /v1/embeddings through the SDK."""
    trio.one.mode("503")
    assert len(client.embeddings.create(model="assistant", input=["a", "b"]).data) == 2
    assert [s.path for s in trio.two.seen] == ["/v1/embeddings"]


def test_paths_of_every_api_reach_the_provider(router: Router, trio: Trio) -> None:
    """What follows /v1 follows the provider's base URL; the query is dropped."""
    http = router.http()
    for path in ("chat/completions", "completions", "embeddings", "responses"):
        http.post(f"/v1/{path}?api-version=1&key=secret", json={"model": "one", "messages": [], "input": "x"})
    expected = [f"/v1/{path}" for path in ("chat/completions", "completions", "embeddings", "responses")]
    assert [s.path for s in trio.one.seen] == expected
