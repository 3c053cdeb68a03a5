"""What the keys of one namespace have used: read from the ConfigMap turnout-usage at the start, and kept there."""

import logging

from turnout.apply.objects import Applier
from turnout.decide.usage import Ledger
from turnout.infra.kinds import CONFIG_MAP
from turnout.infra.labels import USAGE
from turnout.infra.ledger import from_map, ledger_map
from turnout.watch.store import Store

log = logging.getLogger(__name__)


class Books:
    """The ledger as it was seen last, and as it was kept last.

    Attributes:
        ledger: what keys have used.
    """

    def __init__(self, store: Store, namespace: str, applier: Applier) -> None:
        """The store must be complete: what keys had used is read from it."""
        self._store, self._namespace, self._applier = store, namespace, applier
        self.ledger = self._kept = self._read()

    async def keep(self) -> None:
        """Write it, if anything was used since. Raises ClusterError."""
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
