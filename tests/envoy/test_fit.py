"""Models that cannot do a request are skipped; a prompt that is too long goes to a larger one."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.asking import post
from harness.manifests import group, key
from harness.providers import Trio
from harness.router import Router, Serve
from harness.texts import TEXTS
from harness.wire import Wire, whole

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
TOO_LONG = b'{"error": {"message": "This model has a maximum context length of 8", "code": "context_length_exceeded"}}'


@pytest.fixture(scope="module")
def http(serve: Serve, trio: Trio, wire: Wire) -> httpx.Client:
    """A small model that can do nothing special, one that sees, a large one that calls functions."""
    models = [
        {**trio.one.manifest, "contextWindow": 4000, "features": []},
        {**trio.two.manifest, "contextWindow": 8000, "features": ["vision", "json_schema"]},
        {**trio.three.manifest, "contextWindow": 128000, "features": ["tools", "json_schema"]},
    ]
    wired = {"name": "wire", "endpoint": {"baseURL": wire.url}, "contextWindow": 8000}
    router: Router = serve(
        group("assistant", *models),
        group("wired", wired, models[1], models[2]),
        group("last", wired, models[0]),
        key("app"),
        *trio.secrets,
    )
    return router.http()


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({}, "one"),
        ({"tools": TOOLS}, "three"),
        ({"tools": []}, "one"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "what?"}, IMAGE]}]}, "two"),
        ({"response_format": SCHEMA}, "two"),
        ({"response_format": SCHEMA, "tools": TOOLS}, "three"),
        ({"messages": [{"role": "user", "content": "word " * 2_000}]}, "two"),
        ({"messages": [{"role": "user", "content": "word " * 20_000}]}, "three"),
        ({"max_tokens": 5_000}, "two"),
    ],
    ids=["plain", "tools", "no tools", "image", "schema", "schema and tools", "long", "very long", "long answer"],
)
def test_the_first_model_that_can_do_it_answers(http: httpx.Client, fields: dict[str, Any], model: str) -> None:
    """Without an attempt at those that cannot."""
    answer = post(http, **fields)
    assert (answer.headers["x-turnout-model"], answer.headers["x-turnout-attempts"]) == (model, "1")


def test_what_no_model_is_said_to_do_is_still_tried(http: httpx.Client) -> None:
    """Perhaps the manifest is wrong; the provider will tell."""
    answer = post(http, tools=TOOLS, messages=[{"role": "user", "content": [IMAGE]}])
    assert (answer.status_code, answer.headers["x-turnout-attempts"]) == (200, "1")


def test_a_prompt_that_is_too_long_goes_to_a_larger_model(http: httpx.Client, wire: Wire, trio: Trio) -> None:
    """Past the one with as small a window; and it counts against nobody."""
    wire.answers = [whole(TOO_LONG, 400)]
    answer = post(http, "wired")
    assert (answer.status_code, answer.headers["x-turnout-model"]) == (200, "three")
    assert answer.headers["x-turnout-fallback"] == "wire=too_long"
    assert not trio.two.seen


def test_without_a_larger_one_the_client_hears_it_as_it_is(http: httpx.Client, wire: Wire) -> None:
    """400 in the provider's own bytes."""
    wire.answers = [whole(TOO_LONG, 400)]
    answer = post(http, "last")
    assert (answer.status_code, answer.content) == (400, TOO_LONG)


TOKENS: dict[str, int] = json.loads((Path(__file__).parent / "token_counts.json").read_text())
"""The most tokens that six real tokenizers make of each text; see tests/bench/bench_tokens.py."""

OVERHEAD = 100
"""Tokens that the request's JSON around a text may be taken for."""


@pytest.fixture(scope="module")
def windows(serve: Serve, trio: Trio) -> httpx.Client:
    """For each text a model whose window is too small by one token, and one whose is four times what it needs."""
    groups = []
    for number, (name, tokens) in enumerate(TOKENS.items()):
        small = {**trio.one.manifest, "contextWindow": tokens - 1}
        roomy = {**trio.one.manifest, "contextWindow": 4 * tokens + OVERHEAD}
        groups += [
            group(f"small-{number}", small, trio.two.manifest),
            group(f"roomy-{number}", roomy, trio.two.manifest),
        ]
        assert name in TEXTS
    return serve(*groups, key("app"), *trio.secrets).http()


@pytest.mark.parametrize("number", range(len(TEXTS)), ids=list(TEXTS))
def test_no_text_is_taken_for_fewer_tokens_than_it_is_nor_for_many_more(windows: httpx.Client, number: int) -> None:
    """Where it cannot fit it is not sent; where it is a quarter of the window, it is."""
    prompt = {"messages": [{"role": "user", "content": list(TEXTS.values())[number]}]}
    assert post(windows, f"small-{number}", **prompt).headers["x-turnout-model"] == "two"
    assert post(windows, f"roomy-{number}", **prompt).headers["x-turnout-model"] == "one"
