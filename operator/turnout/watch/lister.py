"""The API server → the store: a full LIST of everything at the start, and again and again.

kopf's watches can miss a deletion after a gap, and a missed deletion of a ScopedKey is a key that still works; so a
listing, not the events, is the truth.
"""

import asyncio
import logging

from turnout.apply.kube import Kube
from turnout.errors import ClusterError
from turnout.infra.kinds import WATCHED
from turnout.observe.health import LISTING, Health
from turnout.watch.store import Store

log = logging.getLogger(__name__)

SOON_S = 10
"""Seconds from the first listing to the second: what was deleted between the first and kopf's own is missed by both."""
RETRY_S = 2
PAUSE_S = 1
"""Seconds that a wish for a listing waits for further ones: a watch that starts again repeats every object."""


class Lister:
    """Keeps the store true."""

    def __init__(self, kube: Kube, store: Store, health: Health, *, namespace: str, resync_s: float) -> None:
        """namespace: the only one to list; empty: all."""
        self._kube = kube
        self._store = store
        self._health = health
        self._namespace = namespace
        self._resync_s = resync_s
        self._wanted = asyncio.Event()

    def want(self) -> None:
        """List soon: something may have been missed."""
        self._wanted.set()

    async def run(self) -> None:
        """List for ever. Returns never; a failed listing is tried again after two seconds."""
        pause: float = SOON_S
        while True:
            self._wanted.clear()
            self._health.begin(LISTING)
            if not await self._list_all():
                await asyncio.sleep(RETRY_S)
                continue
            self._health.done(LISTING)
            try:
                await asyncio.wait_for(self._wanted.wait(), pause)
                await asyncio.sleep(PAUSE_S)
            except TimeoutError:
                pause = self._resync_s

    async def _list_all(self) -> bool:
        for kind in WATCHED:
            try:
                self._store.replace(kind, await self._kube.list_all(kind, self._namespace))
            except ClusterError as error:
                log.warning("cannot list %s: %s", kind.plural, error)
                return False
        return True
