"""The books of a namespace ↔ the ConfigMap turnout-usage that keeps them. Pure; no secrets in it."""

import base64
import gzip
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from turnout.decide.ir import canonical
from turnout.decide.usage import Counts, Ledger, Use
from turnout.infra.labels import USAGE, Json, metadata
from turnout.infra.objects import encoded

FILE = "ledger.json.gz"
VERSION = 1


def dump(ledger: Ledger) -> bytes:
    """The ledger as bytes: same ledger, same bytes."""
    counted = {life: _rows(counts) for life, counts in ledger.counted.items()}
    day = ledger.day.isoformat() if ledger.day else None
    found = {"version": VERSION, "day": day, "today": _rows(ledger.today), "month": _rows(ledger.month)}
    opened = ledger.opened.isoformat() if ledger.opened else None
    return gzip.compress(canonical({**found, "counted": counted, "opened": opened}), mtime=0)


def load(data: bytes) -> Ledger:
    """The ledger again. Raises ValueError if that is none of this version."""
    try:
        found = json.loads(gzip.decompress(data))
        if found["version"] != VERSION:
            raise ValueError("another version")
        counted = {life: _counts(rows) for life, rows in found["counted"].items()}
        day = date.fromisoformat(found["day"]) if found["day"] else None
        opened = datetime.fromisoformat(found["opened"]) if found.get("opened") else None  # older books have none
        return Ledger(day, _counts(found["today"]), _counts(found["month"]), counted, opened)
    except (OSError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a ledger: {type(error).__name__}") from None


def ledger_map(namespace: str, ledger: Ledger) -> Json:
    """The ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(namespace, USAGE),
        "binaryData": encoded({FILE: dump(ledger)}),
    }


def from_map(config_map: Mapping[str, Any]) -> Ledger:
    """What a ConfigMap keeps. Raises ValueError."""
    return load(base64.b64decode((config_map.get("binaryData") or {}).get(FILE, "")))


def _rows(counts: Counts) -> list[list[str | int]]:
    return [[*where, use.requests, use.tokens, use.nano_usd] for where, use in sorted(counts.items())]


def _counts(rows: list[Any]) -> Counts:
    return {(str(k), str(g), str(m)): Use(int(r), int(t), int(n)) for k, g, m, r, t, n in rows}
