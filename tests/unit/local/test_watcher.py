"""The laptop's look at its one Envoy."""

import httpx

from turnout.decide.ir import Router
from turnout.decide.usage import Ledger
from turnout.local.clock import Clock
from turnout.local.watcher import Watcher

USED = """# TYPE turnout_token_requests counter
turnout_token_requests{key="app",slot="0"} 3
# TYPE turnout_token_last_used_id gauge
turnout_token_last_used_id{key="app",slot="0"} 4307615726
"""


async def test_uses_are_known_of_tokens_that_are_kept_and_of_no_others() -> None:
    """Others come and go for ever."""
    kept = {"00c0ffee"}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text='{"lanes": []}' if request.url.path == "/lanes" else USED)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        watcher = Watcher(http, "http://envoy", lambda _: None, Ledger(), Clock(1), lambda: kept)
        await watcher.look(Router(namespace="ai"))
        assert list(watcher.uses.last) == ["00c0ffee"]
        kept.clear()
        await watcher.look(Router(namespace="ai"))
        assert not watcher.uses.last
