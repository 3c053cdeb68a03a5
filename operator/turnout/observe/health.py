"""/healthz, /readyz and /metrics of the operator, served by its own event loop: if that hangs, so do they."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from turnout.observe.metrics import Metrics

LISTING = "listing"
"""The work without which nothing else begins."""


@dataclass
class Health:
    """Whether the operator gets on with its work. Times are seconds of a steady clock.

    Attributes:
        patience_s: how long work may wait without anything being finished.
    """

    patience_s: float
    clock: Callable[[], float]
    _waiting_since: dict[str, float] = field(default_factory=dict)
    _last_success: float = 0.0
    _finished: set[str] = field(default_factory=set)

    def begin(self, work: str) -> None:
        """There is work that was not there before."""
        self._waiting_since.setdefault(work, self.clock())

    def done(self, work: str) -> None:
        """It is done, so the operator works."""
        self._waiting_since.pop(work, None)
        self._last_success = self.clock()
        self._finished.add(work)

    def forget(self, work: str) -> None:
        """It is not wanted any more."""
        self._waiting_since.pop(work, None)

    @property
    def ready(self) -> bool:
        """Everything was listed once: the operator may read what it needs, and knows what there is."""
        return LISTING in self._finished

    @property
    def stuck(self) -> bool:
        """Work has been waiting for longer than patience_s, and nothing was finished in all that time."""
        oldest = min(self._waiting_since.values(), default=self.clock())
        return self.clock() - max(oldest, self._last_success) > self.patience_s


async def serve(port: int, health: Health, metrics: Metrics) -> web.AppRunner:
    """Listen; the caller cleans the runner up. Raises OSError if the port is taken."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(status=503, text="stuck\n") if health.stuck else web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if health.ready else web.Response(status=503, text="nothing listed yet\n")

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
