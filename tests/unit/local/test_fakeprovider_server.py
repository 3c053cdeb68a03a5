"""The fake provider over HTTP, with the real openai SDK."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from pydantic import SecretStr

from turnout.local.fakeprovider import FakeProvider, Options, parse

CHAT = {"model": "m", "messages": [{"role": "user", "content": "good morning"}]}


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider that is quick and asks for a credential."""
    fake = FakeProvider(Options("one", api_key=SecretStr("k"), models=("m",), latency=0, chunk_delay=0.001))
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def client(provider: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK, which shall not retry."""
    async with openai.AsyncOpenAI(base_url=provider.url, api_key="k", max_retries=0, timeout=2) as sdk:
        yield sdk


async def read(client: openai.AsyncOpenAI, *, stream: bool) -> None:
    """Ask, and read the answer to its end."""
    answer = await client.chat.completions.create(**CHAT, stream=stream)
    if stream:
        async for _ in answer:
            pass


async def test_the_sdk_reads_every_api(client: openai.AsyncOpenAI) -> None:
    """Chat, completions, responses, embeddings and models come as the SDK's own types, with usage."""
    chat = await client.chat.completions.create(**CHAT)
    assert "one" in (chat.choices[0].message.content or "")
    assert chat.usage
    assert chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens
    assert (await client.completions.create(model="m", prompt="x", max_tokens=2)).choices[0].finish_reason == "length"
    assert "x" in (await client.responses.create(model="m", input="x")).output_text
    vectors = await client.embeddings.create(model="m", input=["a", "b"])
    assert [len(v.embedding) for v in vectors.data] == [8, 8]
    assert [m.id for m in (await client.models.list()).data] == ["m"]


async def test_a_stream_ends_with_usage_only_if_asked_for(client: openai.AsyncOpenAI) -> None:
    """As at OpenAI: the usage event has no choices and comes last; without include_usage it does not come."""
    asked = [
        c
        async for c in await client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
    ]
    assert asked[-1].usage
    assert asked[-1].choices == []
    plain = [c async for c in await client.chat.completions.create(**CHAT, stream=True)]
    assert not any(c.usage for c in plain)
    assert plain[0].choices[0].delta.role == "assistant"
    assert plain[-1].choices[0].finish_reason == "stop"


async def test_stream_options_belong_to_streams(client: openai.AsyncOpenAI) -> None:
    """As at OpenAI: 400 for anything else."""
    with pytest.raises(openai.BadRequestError, match="only allowed when 'stream' is enabled"):
        await client.chat.completions.create(**CHAT, stream_options={"include_usage": True})


async def test_a_streamed_response_completes(client: openai.AsyncOpenAI) -> None:
    """The responses API streams events that the SDK assembles into the text that a whole answer would have."""
    events = [e async for e in await client.responses.create(model="m", input="x", stream=True)]
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "x" in events[-1].response.output_text


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        ("wrong", CHAT, 401),
        ("k", CHAT | {"model": "other"}, 404),
        ("k", {"model": "m"}, 400),
        ("k", CHAT | {"max_tokens": 0}, 400),
    ],
)
async def test_it_refuses_what_a_provider_refuses(provider: FakeProvider, key: str, body: object, status: int) -> None:
    """A fake that takes everything would let a router's mistakes pass."""
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {key}"}
        answer = await http.post(f"{provider.url}/chat/completions", json=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["503", "429:1", "drop", "reset", "cut:2", "garbage"])
async def test_a_fault_reaches_the_client_as_an_exception(
    provider: FakeProvider, client: openai.AsyncOpenAI, mode: str, stream: bool
) -> None:
    """No broken answer looks whole to the SDK."""
    provider.control.set(parse(mode))
    with pytest.raises((openai.OpenAIError, httpx.HTTPError, ValueError)):
        await read(client, stream=stream)


async def test_a_hang_up_is_seen(provider: FakeProvider, client: openai.AsyncOpenAI) -> None:
    """What the provider saw of a client that left says so, and how long it had waited."""
    provider.control.set(parse("hang"))
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(**CHAT, timeout=0.2)
    async with httpx.AsyncClient() as http:
        root = provider.url.removesuffix("/v1")
        seen = (await http.get(f"{root}/ctl/seen?clear=1")).json()
        assert (await http.get(f"{root}/ctl/seen")).json() == []
    assert [s["outcome"] for s in seen] == ["hung-up"]
    assert seen[0]["model"] == "m"
    assert 0.1 < seen[0]["seconds"] < 1


async def test_raw_bytes_are_sent_as_they_are(provider: FakeProvider) -> None:
    """Through the control path a test can make the provider say anything."""
    async with httpx.AsyncClient() as http:
        root = provider.url.removesuffix("/v1")
        await http.post(f"{root}/ctl?mode=raw&status=200&type=text/plain", content=b"\x00anything")
        answer = await http.post(f"{provider.url}/chat/completions", json=CHAT, headers={"Authorization": "Bearer k"})
    assert answer.content == b"\x00anything"
