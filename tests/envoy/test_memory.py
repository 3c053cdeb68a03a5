"""A router's memory does not grow with what it has seen: answers, failures, cuts and clients that go away."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from harness.asking import body
from harness.manifests import group, key, model, token
from harness.providers import Trio
from harness.router import Router, Serve
from harness.wire import DONE, END, ROLE, Step, Steps, Wire, chunk, completion, event, stream, whole

SCENES: dict[str, Steps] = {
    "well": whole(completion("Hello " * 200)),
    "streams": stream(ROLE, *[chunk("word ") for _ in range(20)], END, event({"choices": [], "usage": {}}), DONE),
    "refuses": whole({"error": {"message": "no"}}, 401),
    "fails": whole({"error": {"message": "down"}}, 503),
    "limits": whole({"error": {"message": "slow down"}}, 429, retry_after_ms="1"),
    "empty": stream(ROLE, END, DONE),
    "error-event": stream(event({"error": {"message": "overloaded", "code": 529}})),
    "html": whole(b"<html></html>", kind="text/html"),
    "cut": stream(ROLE, chunk("Hel"), Step.CUT),
    "reset": [Step.RESET],
    "slow": stream(ROLE, chunk("Hel"), 30.0),
}
AT_ONCE = 20
A_ROUND = 2_000
"""Requests; a leak of one request's state (about 2 KB) would be 4 MB."""

MAY_GROW_KB = 1_000
"""Over the last two rounds, when the pools have long their size. Without a leak it was 0 to 44."""


async def ask(http: httpx.AsyncClient, number: int) -> None:
    """One request of some kind; a client of the slow ones leaves, half of them after the first bytes."""
    scene = list(SCENES)[number % len(SCENES)]
    content = json.dumps(body(scene, stream=scene in ("streams", "empty", "error-event", "cut", "slow")))
    try:
        async with http.stream("POST", "/v1/chat/completions", content=content) as answer:
            if scene == "slow":
                await anext(answer.aiter_raw())
            else:
                await answer.aread()
    except httpx.TransportError:
        assert scene == "cut"


async def round_of(router: Router, first: int) -> None:
    """So many requests, at most AT_ONCE at a time."""
    headers = {"authorization": f"Bearer {token('app')}", "content-type": "application/json"}
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with limit:
            await ask(http, number)

    async with httpx.AsyncClient(base_url=router.url, headers=headers, timeout=20) as http:
        await asyncio.gather(*(one(number) for number in range(first, first + A_ROUND)))


def resident_kb(router: Router) -> int:
    """What the process holds in memory."""
    assert router.process
    status = Path(f"/proc/{router.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.timeout(300)
def test_what_has_passed_leaves_nothing_behind(serve: Serve, trio: Trio, wire: Wire) -> None:
    """Rounds of every kind of request: the router is as large after the fourth as after the second."""
    wire.scenes.update(SCENES)
    rules = {"circuit": {"failures": 1000, "recovery": "100ms"}, "timeouts": {"firstToken": "5s"}}
    host = f"http://127.0.0.1:{wire.port}"
    groups = [
        group(name, model("m", f"{host}/{name}/v1", upstreamName=name), trio.two.manifest, **rules) for name in SCENES
    ]
    router = serve(*groups, key("app"), *trio.secrets)
    sizes = []
    for number in range(4):
        asyncio.run(round_of(router, number * A_ROUND))
        sizes.append(resident_kb(router))
    assert max(sizes[2:]) - sizes[1] < MAY_GROW_KB, sizes
