"""Looking at routers again and again."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from turnout.decide.usage import Ledger, Use
from turnout.infra.observation import Observation
from turnout.infra.pods import RouterPod
from turnout.observe.uptimes import UPTIME
from turnout.observe.watcher import RouterWatcher

COUNTED = """# TYPE turnout_key_requests counter
turnout_key_requests{group="assistant",model="gpt",key="app"} 3
# TYPE turnout_tokens_in counter
turnout_tokens_in{group="assistant",model="gpt",key="app"} 20
# TYPE turnout_tokens_out counter
turnout_tokens_out{group="assistant",model="gpt",key="app"} 5
# TYPE turnout_cost_nanousd counter
turnout_cost_nanousd{group="assistant",model="gpt",key="app"} 7000
"""
USED = """# TYPE turnout_token_requests counter
turnout_token_requests{key="app",slot="0"} 3
# TYPE turnout_token_last_used_id gauge
turnout_token_last_used_id{key="app",slot="0"} 4307615726
"""
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
        watcher = RouterWatcher(http, lambda: tuple(pods), seen.append, every_s=1, ledger=Ledger())
        await watcher.look()
        answers = False
        await watcher.look()
        pods.clear()
        await watcher.look()
    assert [[state.circuit.value for state in one.lanes or ()] for one in seen] == [["Open"], ["Open"], []]


async def test_what_a_router_counts_while_it_ends_is_counted() -> None:
    """It takes no traffic any more, and its circuits tell nothing; but what it still answers costs money."""
    pods = [RouterPod("ai", "one", "10.0.0.1", "uid-1/0", ready=False)]
    text = COUNTED

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=json.dumps({"lanes": [OPEN]}) if request.url.path == "/lanes" else text)

    seen: list[Observation] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        watcher = RouterWatcher(http, lambda: tuple(pods), seen.append, every_s=1, ledger=Ledger())
        await watcher.look()
        text = COUNTED.replace("} 3", "} 4")
        await watcher.look()
        pods.clear()
        await watcher.look()
    where = ("app", "assistant", "gpt")
    assert [one.ledger and one.ledger.month[where] for one in seen] == [Use(3, 25, 7000), *[Use(4, 25, 7000)] * 2]
    assert [list(one.ledger.counted) for one in seen if one.ledger] == [["uid-1/0"], ["uid-1/0"], []]
    assert seen[0].lanes == ()


async def test_a_router_that_began_anew_is_counted_once_though_its_pod_says_so_late() -> None:
    """A look may come within the second or two that the kubelet takes to count the restart."""
    pods = [RouterPod("ai", "one", "10.0.0.1", "uid-1/0")]
    text = ""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text='{"lanes": []}' if request.url.path == "/lanes" else text)

    def counts(requests: int, uptime: int) -> str:
        return COUNTED.replace("} 3", f"}} {requests}") + f"# TYPE {UPTIME} gauge\n{UPTIME}{{}} {uptime}\n"

    seen: list[Observation] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        watcher = RouterWatcher(http, lambda: tuple(pods), seen.append, every_s=1, ledger=Ledger())
        for life, requests, uptime in [("uid-1/0", 1, 900), ("uid-1/0", 4, 0), ("uid-1/1", 5, 0), ("uid-1/1", 6, 5)]:
            pods[:] = [RouterPod("ai", "one", "10.0.0.1", life)]
            text = counts(requests, uptime)
            await watcher.look()
    where = ("app", "assistant", "gpt")
    assert [one.ledger and one.ledger.month[where].requests for one in seen] == [1, 1, 6, 7]
    assert [one.look and set(one.look.said) for one in seen] == [{"uid-1/0"}, set(), {"uid-1/1"}, {"uid-1/1"}]


async def test_an_old_router_is_only_a_beginning_for_books_that_begin_anew() -> None:
    """As after the loss of the ConfigMap: what it counted in other months is not of this one."""
    old = RouterPod("ai", "one", "10.0.0.1", "uid-1/0", began=datetime.now(UTC) - timedelta(days=40))
    seen: list[Observation] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, text=COUNTED))) as http:
        await RouterWatcher(http, lambda: (old,), seen.append, every_s=1, ledger=Ledger()).look()
    assert [one.ledger and one.ledger.month for one in seen] == [{}]


async def test_tokens_that_are_in_no_keyring_are_forgotten() -> None:
    """As soon as somebody knows what is in it."""
    known: set[str] | None = None
    pod = RouterPod("ai", "one", "10.0.0.1", "uid-1/0")
    seen: list[Observation] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, text=USED))) as http:
        watcher = RouterWatcher(http, lambda: (pod,), seen.append, every_s=1, ledger=Ledger(), known=lambda: known)
        for known in (None, {"00c0ffee", "beef0001"}, {"beef0001"}):  # noqa: B007  the watcher asks for it
            await watcher.look()
    assert [list(one.uses.last) for one in seen] == [["00c0ffee"], ["00c0ffee"], []]


async def test_a_bug_in_a_look_stops_nobody_who_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    """A new operator looks before it publishes: without what it would have seen it still publishes."""

    def broken(_: Observation) -> None:
        raise ZeroDivisionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as http:
        await RouterWatcher(http, tuple, broken, every_s=1, ledger=Ledger()).look()
    assert "a look at routers failed: a bug" in caplog.text
