"""A router's metrics → what it has counted, by group and model. Pure; feeds observe.sample and local.figures."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from operator import add
from typing import TypeAlias

from prometheus_client.samples import Sample

from turnout.decide.evidence import BOUNDS_MS, NO_EVIDENCE, OK

NOT_FAILED = NO_EVIDENCE | {OK}
"""Results of an attempt that say nothing against the model."""
FAILURES = (
    *("rate_limited", "refused", "server_error", "timeout", "connection", "malformed"),
    *("empty", "error_event", "truncated", "stalled", "other"),
)
"""All others, as the filter spells them; the last is what a router says that knows more words than its operator."""


class Field(IntEnum):
    """What is counted, by position in a tally; FAILURES and the buckets of the two histograms follow."""

    ATTEMPTS = 0
    FIRST_ATTEMPTS = 1
    ANSWERS = 2
    MS_SUM = 3
    MS_COUNT = 4
    TOKENS = 5
    NANO_USD = 6
    REQUESTS = 7
    FALLBACK_REQUESTS = 8


PLAIN = {
    "turnout_attempts_total": Field.ATTEMPTS,
    "turnout_attempt_milliseconds_sum": Field.MS_SUM,
    "turnout_attempt_milliseconds_count": Field.MS_COUNT,
    "turnout_tokens_in_total": Field.TOKENS,
    "turnout_tokens_out_total": Field.TOKENS,
    "turnout_cost_nanousd_total": Field.NANO_USD,
    "turnout_requests_total": Field.REQUESTS,
    "turnout_fallback_requests_total": Field.FALLBACK_REQUESTS,
}
BOUNDS = BOUNDS_MS
_FAILURES_AT = len(Field)
_BUCKETS_AT = {
    "turnout_attempt_milliseconds_bucket": _FAILURES_AT + len(FAILURES),
    "turnout_first_token_milliseconds_bucket": _FAILURES_AT + len(FAILURES) + len(BOUNDS),
}
_LENGTH = _FAILURES_AT + len(FAILURES) + 2 * len(BOUNDS)
_FAILURE = {result: position for position, result in enumerate(FAILURES, _FAILURES_AT)}
_BUCKET = {bound: position for position, bound in enumerate(BOUNDS)}

Where = tuple[str, str]
"""Group and model; the model is empty for what is counted by group."""
Tally: TypeAlias = "array[float]"
"""By position. Of 8 bytes a count, since a look at each router is kept for every quarter of a minute."""
Tallies = Mapping[Where, Tally]


def tally(samples: Iterable[Sample]) -> dict[Where, Tally]:
    """The samples that figures are made of, by group and model."""
    found: dict[Where, Tally] = defaultdict(nothing)
    for sample in samples:
        labels = sample.labels
        counts = found[labels.get("group", ""), labels.get("model", "")]
        if sample.name in PLAIN:
            counts[PLAIN[sample.name]] += sample.value
        if sample.name == "turnout_attempts_total":
            _count_attempts(counts, labels, sample.value)
        elif sample.name in _BUCKETS_AT and float(labels["le"]) in _BUCKET:
            counts[_BUCKETS_AT[sample.name] + _BUCKET[float(labels["le"])]] += sample.value
    return dict(found)


def _count_attempts(counts: Tally, labels: Mapping[str, str], value: float) -> None:
    result = labels.get("result", "")
    if labels.get("attempt") == "first":
        counts[Field.FIRST_ATTEMPTS] += value
    if result == OK:
        counts[Field.ANSWERS] += value
    if result not in NOT_FAILED:
        counts[_FAILURE.get(result, _FAILURE["other"])] += value


def nothing() -> Tally:
    """The tally of a model that was never asked."""
    return array("d", [0.0]) * _LENGTH


def failures(counts: Tally) -> Sequence[float]:
    """Failed attempts, in the order of FAILURES."""
    return counts[_FAILURES_AT : _FAILURES_AT + len(FAILURES)]


def attempt_buckets(counts: Tally) -> Sequence[float]:
    """Attempts of at most so many milliseconds, in the order of BOUNDS."""
    return _buckets(counts, "turnout_attempt_milliseconds_bucket")


def first_token_buckets(counts: Tally) -> Sequence[float]:
    """Streams whose first content came within so many milliseconds, in the order of BOUNDS."""
    return _buckets(counts, "turnout_first_token_milliseconds_bucket")


def _buckets(counts: Tally, name: str) -> Sequence[float]:
    return counts[_BUCKETS_AT[name] : _BUCKETS_AT[name] + len(BOUNDS)]


def total(*tallies: Tallies) -> dict[Where, Tally]:
    """The sum of tallies."""
    sums: dict[Where, Tally] = {}
    for one in tallies:
        for where, counts in one.items():
            known = sums.get(where)
            sums[where] = array("d", map(add, known, counts)) if known else counts
    return sums


def growth(before: Tallies, after: Tallies) -> dict[Where, Tally]:
    """What came between two looks at one router. A counter that fell began at zero in between."""
    return {where: _grown(before[where], counts) if where in before else counts for where, counts in after.items()}


def _grown(before: Tally, after: Tally) -> Tally:
    return array("d", [now - then if now >= then else now for then, now in zip(before, after, strict=True)])
