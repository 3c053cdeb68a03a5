"""The end of the operator."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from turnout.observe.metrics import Metrics
from turnout.watch.loop import Workers
from turnout.watch.store import Store
from turnout.watch.waker import Waker


class Busy:
    """A worker that never ends, and counts how often its books were kept."""

    def __init__(self, _context: Any, namespace: str) -> None:
        self.namespace, self.waker = namespace, Waker(quiet_s=0, at_most_s=0)
        self.books, self.reporter, self.ledger = self, self, None
        self.kept = 0
        self.ended = False

    async def run(self) -> None:
        """As the worker, and as its reporter."""
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    async def keep(self) -> None:
        """What keys have used."""
        assert not self.ended, "what is being written when it is stopped might come last"
        self.kept += 1

    def observe(self, _: Any) -> None:
        """Nothing."""


async def test_what_keys_have_used_is_kept_when_the_operator_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is drained takes operator and routers at one time: nobody else could count it."""
    made: list[Busy] = []

    def make(context: Any, namespace: str) -> Busy:
        made.append(Busy(context, namespace))
        return made[-1]

    monkeypatch.setattr("turnout.watch.loop.Worker", make)
    store, settings = Store(lambda _namespace, _urgent: None), SimpleNamespace(scrape_s=5)
    store.complete.set()
    workers = Workers()
    await workers.open(SimpleNamespace(store=store, settings=settings, http=None, metrics=Metrics()))  # type: ignore[arg-type]
    for namespace in ("ai", "other"):
        workers.wake(namespace, urgent=True)
    await asyncio.sleep(0.01)
    await workers.close()
    await asyncio.sleep(0.01)
    assert [(busy.namespace, busy.kept, busy.ended) for busy in made] == [("ai", 1, True), ("other", 1, True)]
