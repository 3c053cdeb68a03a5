"""Traffic with the real openai SDK through routers in the cluster, while things break and change."""

import asyncio
import json
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest

from harness.images import CLIENT
from harness.world import MODELS, Calls, World, ask

IN_FLIGHT = 20
CALLS, AFTER = 200, 20
"""Calls at the least; how many of them begin when what happens midway has happened, however long that takes."""


async def many(client: openai.AsyncOpenAI, whole: Calls, streams: Calls, at_half: Callable[[], Any]) -> int:
    """CALLS calls or more, every second one a stream, IN_FLIGHT at a time; how many. `at_half` runs beside them when
    half have begun, and AFTER begin when it is over.
    """
    begun, enough = 0, math.inf
    event: list[asyncio.Task[None]] = []

    async def midway() -> None:
        nonlocal enough
        try:
            await asyncio.to_thread(at_half)
        finally:
            enough = max(CALLS, begun + AFTER)

    async def caller() -> None:
        nonlocal begun
        while begun < enough:
            begun += 1
            if begun == CALLS // 2:
                event.append(asyncio.create_task(midway()))
            stream = begun % 2 == 0
            await ask(client, streams if stream else whole, stream=stream)

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    await event[0]
    return begun


@pytest.mark.parametrize("delivery", ["Live", "Complete"])
def test_killing_the_primary_costs_no_answer(world: Callable[..., World], delivery: str) -> None:
    """200 calls, the primary killed midway: none fails, but Live streams past their first content, which raise."""
    here = world(f"kill-{delivery.lower()}", delivery)
    whole, streams = Calls(), Calls()
    begun = here.run(lambda client: many(client, whole, streams, lambda: here.kill("primary")))
    print(f"{delivery}: not streaming: {whole}; streaming: {streams}")

    assert whole.errors == []
    assert whole.whole == begun - begun // 2
    assert streams.errors == []
    assert streams.whole + len(streams.cut) == begun // 2
    assert whole.nameless + streams.nameless == 0
    assert whole.answered.keys() <= set(MODELS)
    assert whole.answered["primary"] > 0
    assert whole.answered["second"] > 0
    assert len(streams.cut) <= (IN_FLIGHT if delivery == "Live" else 0)


SNIPPET = """
import json, openai
client = openai.OpenAI()
answer = client.chat.completions.create(model="assistant", messages=[{"role": "user", "content": "Say hello."}])
stream = client.chat.completions.create(model="assistant", messages=[{"role": "user", "content": "Hi."}], stream=True)
text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
print(json.dumps([answer.choices[0].message.content, text, [m.id for m in client.models.list()], str(client.base_url)]))
"""


def test_a_program_needs_nothing_but_the_keys_secret(here: World) -> None:
    """A pod with `envFrom` of the Secret talks to the group by the router's name, with the SDK's own defaults."""
    container = {
        "name": "program",
        "image": CLIENT,
        "args": ["-c", SNIPPET],
        "envFrom": [{"secretRef": {"name": "app"}}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "program"},
        "spec": {"containers": [container], "restartPolicy": "Never"},
    }
    here.cluster.apply(pod, namespace=here.namespace)

    def phase() -> str | None:
        found = here.cluster.get("pod", "program", here.namespace)
        return found["status"]["phase"] if found and found["status"]["phase"] in ("Succeeded", "Failed") else None

    ended = here.cluster.wait_for(phase, "the program's end", 60)
    log = here.cluster.logs("program", here.namespace)
    assert ended == "Succeeded", log
    answer, stream, models, base_url = json.loads(log)
    assert "primary" in answer
    assert "primary" in stream
    assert {"assistant", *MODELS} <= set(models)
    assert base_url.rstrip("/") == f"http://turnout-router.{here.namespace}.svc/v1"


def change(here: World, number: int) -> None:
    """Apply the chain in another order."""
    turn = number % len(MODELS)
    here.cluster.apply(here.group(MODELS[turn:] + MODELS[:turn]), namespace=here.namespace)


def wait_until_programmed(here: World, timeout_s: float = 30) -> None:
    """Until status says so for the present generation, and every router runs status.version."""

    def programmed() -> bool:
        return here.ready() and set(here.versions()) == {here.status()["status"]["version"]}

    here.cluster.wait_for(programmed, "every router runs it", timeout_s, every_s=0.02)


def wait_until_none_runs(here: World, old: set[str]) -> None:
    """Until no router says that it runs one of these versions; asked of the routers, not of the operator."""
    here.cluster.wait_for(lambda: not old & set(here.versions()), "every router runs it", 60, every_s=0.01)


def test_a_change_reaches_every_router_soon(here: World) -> None:
    """From `kubectl apply` of a changed chain until every router runs it, 20 times; printed, and bounded generously."""
    took = []
    for number in range(1, 21):
        before = set(here.versions())
        started = time.monotonic()
        change(here, number)
        applied = time.monotonic()
        wait_until_none_runs(here, before)
        took.append((time.monotonic() - started, time.monotonic() - applied))
        wait_until_programmed(here)
    whole, after = sorted(t[0] for t in took), sorted(t[1] for t in took)
    print(
        f"20 changes, {len(here.routers())} routers: p50 {statistics.median(whole):.2f} s, max {whole[-1]:.2f} s"
        f" (after kubectl has returned: p50 {statistics.median(after):.2f} s, max {after[-1]:.2f} s)"
    )
    assert statistics.median(whole) < 5
    assert whole[-1] < 60


def test_changing_the_chain_under_load_fails_no_request(here: World) -> None:
    """50 changes while four callers call without pause: not one request fails, and each says who answered."""
    whole, streams = Calls(), Calls()

    def change_often() -> None:
        for number in range(1, 51):
            before = set(here.versions())
            change(here, number)
            wait_until_none_runs(here, before)  # else the operator would publish only some of them

    async def load(client: openai.AsyncOpenAI) -> None:
        changes = asyncio.create_task(asyncio.to_thread(change_often))

        async def caller(stream: bool) -> None:
            while not changes.done():
                await ask(client, streams if stream else whole, stream=stream)
                await asyncio.sleep(0.02)

        await asyncio.gather(*(caller(n % 2 == 0) for n in range(4)))
        await changes

    here.run(load)
    wait_until_programmed(here)
    print(f"50 changes: not streaming: {whole}; streaming: {streams}")
    assert whole.errors + streams.errors + streams.cut == []
    assert whole.nameless + streams.nameless == 0
    assert set(whole.answered) == set(MODELS)
