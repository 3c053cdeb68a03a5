"""Routers of one namespace → observations, again and again."""

import asyncio
import logging
from collections.abc import Callable

import httpx

from turnout.errors import ScrapeError
from turnout.infra.observation import LaneState, Observation
from turnout.infra.pods import RouterPod
from turnout.observe.sample import Sampler
from turnout.observe.scrape import base_url, read_lanes, read_metrics

log = logging.getLogger(__name__)


class RouterWatcher:
    """Looks at every router that takes traffic; one that does not answer is left out of this look, not of the next."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        pods: Callable[[], tuple[RouterPod, ...]],
        observe: Callable[[Observation], None],
        every_s: float,
    ) -> None:
        self._http = http
        self._pods = pods
        self._observe = observe
        self._every_s = every_s
        self._sampler = Sampler()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.look()
            except Exception:
                log.exception("a look at routers failed: a bug")

    async def look(self) -> None:
        """Look once."""
        pods = self._pods()
        lanes = [state for states in await asyncio.gather(*map(self._lanes, pods)) for state in states]
        await asyncio.gather(*map(self._sample, pods))
        self._sampler.keep({pod.life for pod in pods})
        figures = self._sampler.figures(asyncio.get_running_loop().time())
        self._observe(Observation(tuple(sorted(lanes, key=lambda state: state.lane)), figures))

    async def _lanes(self, pod: RouterPod) -> tuple[LaneState, ...]:
        try:
            return await read_lanes(self._http, base_url(pod))
        except ScrapeError as error:
            log.debug("%s", error)
            return ()

    async def _sample(self, pod: RouterPod) -> None:
        try:
            samples = await read_metrics(self._http, base_url(pod))
        except ScrapeError as error:
            log.debug("%s", error)
            return
        self._sampler.add(pod.life, samples, asyncio.get_running_loop().time())
