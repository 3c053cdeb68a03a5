"""What the keys of one namespace have used: read from the ConfigMap turnout-usage at the start, and kept there."""

import asyncio
import logging
from collections.abc import Mapping

from turnout.apply.objects import Applier
from turnout.decide.usage import Ledger
from turnout.errors import ClusterError
from turnout.infra.kinds import CONFIG_MAP
from turnout.infra.labels import USAGE
from turnout.infra.ledger import from_map, ledger_map
from turnout.watch.store import Store

log = logging.getLogger(__name__)

LAST_S = 5.0
"""Seconds that keeping them may put off the operator's end. A guess: a write takes 10 ms, if it succeeds."""


class Books:
    """The ledger as it was seen last, and as it was kept last.

    Attributes:
        ledger: what keys have used.
    """

    def __init__(self, store: Store, namespace: str, applier: Applier) -> None:
        """The store must be complete: what keys had used is read from it."""
        self._store, self._namespace, self._applier = store, namespace, applier
        self.ledger = self._kept = self._read()
        self._writing = asyncio.Lock()

    async def keep(self) -> None:
        """Write it, if anything was used since. Raises ClusterError."""
        async with self._writing:  # of two writes at one time the older might come last
            if self.ledger is self._kept:
                return
            ledger = self.ledger
            await self._applier.apply(ledger_map(self._namespace, ledger))
            self._kept = ledger

    def _read(self) -> Ledger:
        found = self._store.get(self._namespace, CONFIG_MAP, USAGE)
        try:
            return from_map(found) if found else Ledger()
        except ValueError:
            log.warning("namespace %s: ConfigMap %s cannot be read; counting anew", self._namespace, USAGE)
            return Ledger()


async def keep_all(books: Mapping[str, Books]) -> None:
    """Keep those of all namespaces, for the last time. What cannot be kept in LAST_S seconds is not. Never raises."""

    async def keep(namespace: str, book: Books) -> None:
        try:
            async with asyncio.timeout(LAST_S):
                await book.keep()
        except (ClusterError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            log.warning("namespace %s: what keys have used was not kept: %s", namespace, why)
        except Exception:
            log.exception("namespace %s: what keys have used was not kept: a bug", namespace)

    await asyncio.gather(*(keep(namespace, book) for namespace, book in books.items()))
