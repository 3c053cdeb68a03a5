"""Chat calls by the openai SDK and by httpx, in the short form that the router's tests want."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

MESSAGES = [{"role": "user", "content": "Say hello."}]


@dataclass(frozen=True)
class Answer:
    """What a program that uses the SDK gets."""

    text: str
    headers: Mapping[str, str]
    finish: str | None

    @property
    def model(self) -> str | None:
        """Who answered."""
        return self.headers.get("x-turnout-model")

    @property
    def attempts(self) -> int:
        """How many attempts it took."""
        return int(self.headers["x-turnout-attempts"])

    @property
    def fallback(self) -> str | None:
        """Which models were left, and why."""
        return self.headers.get("x-turnout-fallback")


def ask(client: openai.OpenAI, model: str = "assistant", *, stream: bool = False, **fields: Any) -> Answer:
    """One chat call. A stream is read to its end; what the SDK raises is raised."""
    create: Any = client.chat.completions.with_raw_response.create
    raw = create(model=model, messages=MESSAGES, stream=stream, **fields)
    if not stream:
        choice = raw.parse().choices[0]
        return Answer(choice.message.content or "", raw.headers, choice.finish_reason)
    text, finish = "", None
    for chunk in raw.parse():
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return Answer(text, raw.headers, finish)


def body(model: str = "assistant", **fields: Any) -> dict[str, Any]:
    """The body of a chat call."""
    return {"model": model, "messages": MESSAGES, **fields}


def post(client: httpx.Client, model: str = "assistant", **fields: Any) -> httpx.Response:
    """One chat call as httpx sees it."""
    return client.post("/v1/chat/completions", json=body(model, **fields))


def code_of(response: httpx.Response) -> str | None:
    """The code of an error in OpenAI's shape. Raises AssertionError for any other shape."""
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert list(document) == ["error"]
    error = document["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"]
    code: str | None = error["code"]
    return code


def hang_up(client: httpx.Client, count: int, model: str = "assistant", **fields: Any) -> None:
    """So many calls at once by a client that leaves before an answer: its time-out lets them reach the provider."""

    def one(_: int) -> None:
        with pytest.raises(httpx.ReadTimeout):
            post(client, model, **fields)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(one, range(count)))


async def burst(client: httpx.AsyncClient, count: int, *, model: str = "assistant", **fields: Any) -> Counter[str]:
    """So many calls at once; each as its status and who answered, such as "200 two"."""
    content = json.dumps(body(model, **fields))
    headers = {"content-type": "application/json"}

    async def one() -> str:
        answer = await client.post("/v1/chat/completions", content=content, headers=headers)
        return f"{answer.status_code} {answer.headers.get('x-turnout-model', '')}".strip()

    return Counter(await asyncio.gather(*(one() for _ in range(count))))
