"""Counters of routers at several moments → figures of the last minutes. No I/O, no clock: moments come in.

A counter that fell, or a router that was not there before, began at zero: what it shows now happened since. A router
that did not answer is missing from that look; the next one catches up, as counters only grow.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from itertools import pairwise

from prometheus_client.samples import Sample

from turnout.infra.observation import GroupFigures, ModelFigures
from turnout.xds.bootstrap import BUCKETS_MS

WINDOW_S = 300.0
"""Seconds that figures look back on."""
LEAST_S = 20.0
"""Seconds that must lie behind before there are figures at all. A guess: a few looks."""
APART_S = 15.0
"""Seconds between looks that are kept; the latest one is always kept."""

NOT_FAILED = frozenset({"ok", "client_error", "hung_up"})
"""Results of an attempt that say nothing against the model."""


class Field(IntEnum):
    """What is counted, by position in a tally; the latency histogram's buckets follow."""

    ATTEMPTS = 0
    FAILED = 1
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
BOUNDS = (*map(float, BUCKETS_MS), float("inf"))
_BUCKET = {bound: len(Field) + position for position, bound in enumerate(BOUNDS)}

Where = tuple[str, str]
"""Group and model; the model is empty for what is counted by group."""
Tallies = Mapping[Where, list[float]]


@dataclass(frozen=True)
class Look:
    """Counters of one router at one moment, in seconds of a steady clock."""

    at: float
    tallies: Tallies


class Sampler:
    """Collects looks at the routers of one namespace."""

    def __init__(self) -> None:
        self._looks: dict[str, deque[Look]] = defaultdict(deque)
        self._since: float | None = None

    def add(self, life: str, samples: Iterable[Sample], now: float) -> None:
        """A look at a router; life changes whenever its counters begin anew."""
        self._since = now if self._since is None else self._since
        looks = self._looks[life]
        if not looks and now > self._since:
            looks.append(Look(now, {}))  # it came after the first look, so all that it counted is news
        if len(looks) > 2 and looks[-1].at - looks[-2].at < APART_S:
            looks.pop()
        looks.append(Look(now, tally(samples)))
        while len(looks) > 2 and looks[1].at <= now - WINDOW_S:
            looks.popleft()

    def keep(self, lives: Set[str]) -> None:
        """Forget routers that are gone."""
        for life in self._looks.keys() - lives:
            del self._looks[life]

    def figures(self, now: float) -> dict[str, GroupFigures] | None:
        """By group, those with traffic; None while there is too little to tell, or silence shorter than the window."""
        if self._since is None or now - self._since < LEAST_S:
            return None
        total: dict[Where, list[float]] = defaultdict(_nothing)
        for looks in self._looks.values():
            for before, after in pairwise(looks):
                _add_growth(total, before.tallies, after.tallies)
        silent = not any(map(any, total.values()))
        if silent and now - self._since < WINDOW_S:
            return None
        return figures(total, minutes=min(now - self._since, WINDOW_S) / 60)


def tally(samples: Iterable[Sample]) -> dict[Where, list[float]]:
    """The samples that figures are made of, by group and model."""
    found: dict[Where, list[float]] = defaultdict(_nothing)
    for sample in samples:
        labels = sample.labels
        counts = found[labels.get("group", ""), labels.get("model", "")]
        if sample.name in PLAIN:
            counts[PLAIN[sample.name]] += sample.value
        if sample.name == "turnout_attempts_total":
            counts[Field.ANSWERS] += sample.value if labels.get("result") == "ok" else 0
            counts[Field.FAILED] += sample.value if labels.get("result") not in NOT_FAILED else 0
        elif sample.name == "turnout_attempt_milliseconds_bucket" and float(labels["le"]) in _BUCKET:
            counts[_BUCKET[float(labels["le"])]] += sample.value
    return dict(found)


def figures(total: Tallies, *, minutes: float) -> dict[str, GroupFigures]:
    """What so much in so many minutes says, by group."""
    moved = {where: counts for where, counts in total.items() if any(counts)}
    result = {}
    for group in sorted({group for group, _ in moved} - {""}):
        whole = moved.get((group, ""), _nothing())
        models = {model: counts for (of, model), counts in moved.items() if of == group and model}
        answers = sum(counts[Field.ANSWERS] for counts in models.values())
        result[group] = GroupFigures(
            fallback_share=_ratio(whole[Field.FALLBACK_REQUESTS], whole[Field.REQUESTS]),
            models={name: _model(models[name], answers, minutes) for name in sorted(models)},
        )
    return result


def _model(counts: list[float], answers: float, minutes: float) -> ModelFigures:
    settled, tokens = counts[Field.MS_COUNT], counts[Field.TOKENS]
    return ModelFigures(
        requests_per_minute=_rounded(counts[Field.ATTEMPTS] / minutes),
        share=_ratio(counts[Field.ANSWERS], answers),
        error_rate=_ratio(counts[Field.FAILED], counts[Field.ATTEMPTS]),
        mean_ms=_rounded(counts[Field.MS_SUM] / settled) if settled else None,
        p95_ms=quantile(counts[len(Field) :], 0.95) if settled else None,
        cost_per_1k_tokens=_rounded(counts[Field.NANO_USD] / 1e6 / tokens)
        if tokens and counts[Field.NANO_USD]
        else None,
    )


def _nothing() -> list[float]:
    return [0.0] * (len(Field) + len(BOUNDS))


def _add_growth(total: dict[Where, list[float]], before: Tallies, after: Tallies) -> None:
    for where, counts in after.items():
        earlier = before.get(where) or _nothing()
        sums = total[where]
        for position, value in enumerate(counts):
            if value != earlier[position]:
                sums[position] += value - earlier[position] if value > earlier[position] else value


def quantile(events_up_to: list[float], share: float) -> Decimal | None:
    """From the counts of the buckets, interpolated as Prometheus does it; the last bound for what lies beyond it."""
    rank = share * events_up_to[-1]
    below, events_below = 0.0, 0.0
    for bound, events in zip(BOUNDS, events_up_to, strict=True):
        if events >= rank > 0:
            inside = 0.0 if bound == BOUNDS[-1] else (bound - below) * (rank - events_below) / (events - events_below)
            return _rounded(below + inside)
        below, events_below = bound, events
    return None


def _ratio(part: float, whole: float) -> Decimal | None:
    return _rounded(part / whole) if whole > 0 else None


def _rounded(value: float) -> Decimal:
    """Three significant digits: more would only be noise that is written again and again."""
    text = format(Decimal(f"{max(value, 0.0):.3g}"), "f")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
