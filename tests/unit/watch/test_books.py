"""Books outlive the operator, and are written only when something is in them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from turnout.apply.objects import Applier
from turnout.decide.usage import Ledger, Use
from turnout.infra.kinds import CONFIG_MAP
from turnout.infra.labels import USAGE
from turnout.watch.books import Books
from turnout.watch.store import Store

NOW = datetime(2026, 11, 27, tzinfo=UTC)
WHERE = ("app", "assistant", "gpt")


class Cluster:
    """A store, and an API server that takes everything."""

    def __init__(self) -> None:
        self.store, self.writes = Store(lambda _namespace, _urgent: None), 0

    async def apply(self, obj: Mapping[str, Any], *, subresource: str = "") -> dict[str, Any]:
        """As the API server does it."""
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
