"""Books outlive the operator, and are written only when something is in them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from turnout.apply.objects import Applier
from turnout.decide.usage import Ledger, Use
from turnout.errors import ClusterError
from turnout.infra.kinds import CONFIG_MAP
from turnout.infra.labels import USAGE
from turnout.watch.books import Books, keep_all
from turnout.watch.store import Store

NOW = datetime(2026, 11, 27, tzinfo=UTC)
WHERE = ("app", "assistant", "gpt")


class Cluster:
    """A store, and an API server that takes everything."""

    def __init__(self) -> None:
        self.store, self.writes = Store(lambda _namespace, _urgent: None), 0
        self.refusal: ClusterError | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def apply(self, obj: Mapping[str, Any], *, subresource: str = "") -> dict[str, Any]:
        """As the API server does it."""
        await self.answers.wait()
        if self.refusal is not None:
            raise self.refusal
        self.writes += 1
        meta = {**obj["metadata"], "uid": "1", "resourceVersion": str(self.writes)}
        self.store.put(CONFIG_MAP, {**obj, "metadata": meta})
        return {**obj, "metadata": meta}

    def books(self) -> Books:
        """Those of a new operator."""

        def live(obj: Mapping[str, Any]) -> Any:
            return self.store.get("ai", CONFIG_MAP, obj["metadata"]["name"])

        return Books(self.store, "ai", Applier(self, live))  # type: ignore[arg-type]


async def test_a_new_operator_goes_on_where_the_old_one_stopped() -> None:
    """What living routers had counted is not added again, and what they counted meanwhile is not lost."""
    cluster = Cluster()
    first = cluster.books()
    await first.keep()
    assert cluster.writes == 0, "nothing to keep"
    first.ledger = first.ledger.looked("a", {WHERE: Use(5, 50, 500)}, NOW)
    await first.keep()
    await first.keep()
    assert cluster.writes == 1
    second = cluster.books()
    second.ledger = second.ledger.looked("a", {WHERE: Use(7, 70, 700)}, NOW)
    assert second.ledger.month == {WHERE: Use(7, 70, 700)}


async def test_books_that_cannot_be_read_begin_anew() -> None:
    """And are kept again."""
    cluster = Cluster()
    meta = {"name": USAGE, "namespace": "ai", "uid": "1", "resourceVersion": "0"}
    cluster.store.put(CONFIG_MAP, {"metadata": meta, "binaryData": {"ledger.json.gz": "bm9uZQ=="}})
    books = cluster.books()
    assert books.ledger == Ledger()
    books.ledger = books.ledger.looked("a", {WHERE: Use(1, 1, 1)}, NOW)
    await books.keep()
    assert cluster.books().ledger == books.ledger


def used(requests: int) -> tuple[Cluster, Books]:
    """A cluster, and books of its operator in which something was used since they were kept."""
    cluster = Cluster()
    books = cluster.books()
    books.ledger = books.ledger.looked("a", {WHERE: Use(requests, 50, 500)}, NOW)
    return cluster, books


async def test_the_last_write_has_what_was_used_last() -> None:
    """Whoever keeps them while they are being kept waits: of two writes at one time the older might come last."""
    cluster, books = used(5)
    quick, cluster.answers = cluster.answers, asyncio.Event()
    slow = cluster.answers
    first = asyncio.create_task(books.keep())
    await asyncio.sleep(0)
    cluster.answers = quick
    books.ledger = books.ledger.looked("a", {WHERE: Use(6, 60, 600)}, NOW)
    last = asyncio.create_task(books.keep())
    await asyncio.sleep(0.01)
    slow.set()
    await asyncio.gather(first, last)
    assert cluster.writes == 2
    assert cluster.books().ledger == books.ledger


async def test_at_the_end_books_are_kept_as_far_as_they_can_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of one namespace keep back no others, nor, for long, the end."""
    monkeypatch.setattr("turnout.watch.books.LAST_S", 0.05)
    (denies, refused), (hangs, late), (takes, kept) = used(1), used(2), used(3)
    denies.refusal = ClusterError("no")
    hangs.answers.clear()
    await keep_all({"denies": refused, "hangs": late, "takes": kept})
    assert (denies.writes, hangs.writes, takes.writes) == (0, 0, 1)
    assert "namespace denies: what keys have used was not kept: no" in caplog.text
    assert "namespace hangs: what keys have used was not kept: TimeoutError" in caplog.text
    await keep_all({})
