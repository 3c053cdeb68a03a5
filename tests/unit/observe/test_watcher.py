"""Looking at routers again and again."""

import json

import httpx

from turnout.infra.observation import Observation
from turnout.infra.pods import RouterPod
from turnout.observe.watcher import RouterWatcher

OPEN = {"lane": "a", "circuit": "Open", "failures": 5, "openForMs": 9, "ramping": False, "refusal": None}


async def test_a_router_that_falls_silent_keeps_its_circuits_until_it_is_gone() -> None:
    """Otherwise an open circuit would look closed, just because nobody could ask."""
    answers = True
    pods = [RouterPod("ai", "one", "10.0.0.1", "uid-1/0")]

    def answer(request: httpx.Request) -> httpx.Response:
        if not answers:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, text=json.dumps({"lanes": [OPEN]}) if request.url.path == "/lanes" else "")

    seen: list[Observation] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        watcher = RouterWatcher(http, lambda: tuple(pods), seen.append, every_s=1)
        await watcher.look()
        answers = False
        await watcher.look()
        pods.clear()
        await watcher.look()
    assert [[state.circuit.value for state in one.lanes or ()] for one in seen] == [["Open"], ["Open"], []]
