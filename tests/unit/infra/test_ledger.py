"""Books are kept as they are, and what is none is told."""

import gzip

import pytest

from turnout.decide.usage import Ledger, Use
from turnout.infra.ledger import dump, from_map, ledger_map, load


def test_a_thousand_keys_fit_into_a_config_map() -> None:
    """With three models each, two routers, a day and a month: far below 1 MiB."""
    counts = {
        (f"key-{k}", "assistant", f"model-{m}"): Use(k * 7919, k * 104729, k * 15485863)
        for k in range(1000)
        for m in range(3)
    }
    ledger = Ledger(None, counts, counts, {"a/0": counts, "b/0": counts})
    kept = ledger_map("ai", ledger)
    assert from_map(kept) == ledger
    assert sum(map(len, kept["binaryData"].values())) < 300_000


@pytest.mark.parametrize(
    "data",
    [b"", b"x", gzip.compress(b"{}"), gzip.compress(b"[]"), gzip.compress(b'{"version": 2}'), dump(Ledger())[:-9]],
)
def test_what_is_no_ledger_is_told(data: bytes) -> None:
    """As one kind of error."""
    with pytest.raises(ValueError):
        load(data)
