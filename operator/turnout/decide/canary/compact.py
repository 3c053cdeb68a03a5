"""Counts of an arm ↔ one line of `name=number`, as statuses keep them: exact, and short where there is little. Pure.

>>> to_line(ArmCounts({"ok": 3, "timeout": 1}, priced=3, tokens=600))
'ok=3 timeout=1 priced=3 tokens=600'

`le300=2` are two answers in the bucket that ends at 300 ms; `first.le300` the same of the first content of streams.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise

from turnout.decide.evidence import BOUNDS_MS, ArmCounts, Latencies

_SUMS = {
    "ms2": "took_squared",
    "priced": "priced",
    "tokens": "tokens",
    "tokens2": "tokens_squared",
    "nanousd": "nano_usd",
    "microusd2": "micro_usd_squared",
    "tokens.microusd": "tokens_micro_usd",
    "pending": "pending",
}
_FIRST = "first."
_BUCKETS = tuple(f"le{bound:.0f}" for bound in BOUNDS_MS)
_OURS = {"ms", *_SUMS, *_BUCKETS}


def to_line(counts: ArmCounts) -> str:
    """The counts as text; empty if there are none. Same counts, same text."""
    words = [
        *sorted(counts.results.items()),
        *_latencies(counts.took, ""),
        *((name, getattr(counts, attribute)) for name, attribute in _SUMS.items()),
        *_latencies(counts.first_token, _FIRST),
    ]
    return " ".join(f"{name}={number}" for name, number in words if number)


def from_line(line: str) -> ArmCounts:
    """The counts again. Raises ValueError for anything else."""
    words = {name: int(number) for name, _, number in (word.partition("=") for word in line.split())}
    ours = {name for name in words if name.removeprefix(_FIRST) in _OURS}
    return ArmCounts(
        results={name: number for name, number in words.items() if name not in ours},
        took=_histogram(words, ""),
        first_token=_histogram(words, _FIRST),
        **{attribute: words.get(name, 0) for name, attribute in _SUMS.items()},
    )


def _latencies(took: Latencies, prefix: str) -> Iterator[tuple[str, int]]:
    yield f"{prefix}ms", took.sum_ms
    for name, (below, up_to) in zip(_BUCKETS, pairwise((0, *took.up_to)), strict=True):
        yield f"{prefix}{name}", up_to - below


def _histogram(words: Mapping[str, int], prefix: str) -> Latencies:
    inside = (words.get(f"{prefix}{name}", 0) for name in _BUCKETS)
    return Latencies(tuple(accumulate(inside)), words.get(f"{prefix}ms", 0))
