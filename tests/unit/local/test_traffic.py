"""Made-up requests: how often, when nobody answers."""

import asyncio
import contextlib

import httpx
import pytest

from harness.manifests import group, key, model, running, snapshot
from turnout.decide.build import decide
from turnout.local.traffic import PAUSE_S, _call
from turnout.watch.context import now

GROUP = group("assistant", *(model(name, f"http://{name}/v1") for name in ("one", "two")))
ROUTER = decide(snapshot(GROUP, key("app"), running(20)), None, now=now()).router


def answer(status: int) -> httpx.Response:
    """An answer, or none for status 0."""
    if not status:
        raise httpx.ConnectError("nobody listens")
    return httpx.Response(status)


@pytest.mark.parametrize(("status", "often"), [(200, True), (0, False), (429, False), (503, False)])
async def test_who_refuses_is_asked_again_after_a_pause(status: int, often: bool) -> None:
    """Not as fast as the machine can, which would leave Envoy no time to get better."""
    asked = []

    async def take(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        await asyncio.sleep(0.01)
        return answer(status)

    async with httpx.AsyncClient(transport=httpx.MockTransport(take)) as http:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_call(http, "http://router/v1", lambda: ROUTER), PAUSE_S / 2)
    assert (len(asked) > 1) is often
