"""Routers of one namespace → observations, again and again."""

import asyncio
import logging
from collections.abc import Callable, Set
from datetime import UTC, datetime

import httpx

from turnout.decide.usage import Ledger
from turnout.errors import NonsenseError, ScrapeError
from turnout.infra.observation import LaneState, Observation
from turnout.infra.pods import RouterPod
from turnout.observe.arms import ArmBook
from turnout.observe.sample import Sampler
from turnout.observe.scrape import base_url, read_lanes, read_metrics
from turnout.observe.spending import spending
from turnout.observe.uptimes import Uptimes
from turnout.observe.uses import UseBook

log = logging.getLogger(__name__)


class RouterWatcher:
    """Looks at every router: those that take traffic, and at what the others still count.

    One that does not answer keeps the circuits that it last showed until it answers or is gone: silence is no recovery.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        pods: Callable[[], tuple[RouterPod, ...]],
        observe: Callable[[Observation], None],
        every_s: float,
        ledger: Ledger,
        known: Callable[[], Set[str] | None] = lambda: None,
    ) -> None:
        """pods: all that have an address; observe: told of each look; ledger: what keys had used until now; known: ids
        of the tokens that the keyring holds, None: nobody knows yet.
        """
        self._http = http
        self._pods = pods
        self._observe = observe
        self._every_s = every_s
        self._sampler = Sampler()
        self._uses = UseBook()
        self._uptimes = Uptimes()
        self._arms = ArmBook()
        self._ledger = ledger
        self._known = known
        self._lanes: dict[str, tuple[LaneState, ...]] = {}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.look()

    async def look(self) -> None:
        """Look once. Never raises: whoever waits for it goes on with what was known."""
        try:
            await self._look()
        except Exception:
            log.exception("a look at routers failed: a bug")

    async def _look(self) -> None:
        pods, began = self._pods(), datetime.now(UTC)
        ready = [pod for pod in pods if pod.ready]
        await asyncio.gather(*map(self._read_lanes, ready), *map(self._sample, pods))
        lives = {pod.life for pod in ready}
        self._lanes = {life: states for life, states in self._lanes.items() if life in lives}
        for book in (self._sampler, self._uses, self._uptimes):
            book.keep({pod.life for pod in pods})
        if (known := self._known()) is not None:
            self._uses.forget(known)
        self._ledger = self._ledger.of_routers({pod.life for pod in pods})
        lanes = [state for states in self._lanes.values() for state in states]
        figures = self._sampler.figures(asyncio.get_running_loop().time())
        uses = self._uses.uses(lives, began)
        seen = tuple(sorted(lanes, key=lambda state: state.lane))
        self._observe(Observation(seen, figures, uses, self._ledger, self._arms.look(pods, datetime.now(UTC))))

    async def _read_lanes(self, pod: RouterPod) -> None:
        try:
            self._lanes[pod.life] = await read_lanes(self._http, base_url(pod))
        except ScrapeError as error:
            log.debug("%s", error)

    async def _sample(self, pod: RouterPod) -> None:
        try:
            samples = await read_metrics(self._http, base_url(pod))
        except NonsenseError as error:
            log.warning("%s", error)
            self._arms.breaks(pod.life, str(error))
            return
        except ScrapeError as error:
            log.debug("%s", error)
            return
        if self._uptimes.began_anew(pod.life, samples, asyncio.get_running_loop().time()):
            return  # what it says is of the life that its pod will soon have
        self._arms.add(pod.life, samples)
        self._sampler.add(pod.life, samples, asyncio.get_running_loop().time())
        self._uses.add(pod.life, samples, datetime.now(UTC))
        self._ledger = self._ledger.looked(pod.life, spending(samples), datetime.now(UTC), pod.began)
