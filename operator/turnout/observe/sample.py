"""Counters of routers at several moments → figures of the last minutes. No I/O, no clock: moments come in.

A router that was not there before began at zero: what it shows now happened since. A router that did not answer is
missing from that look; the next one catches up, as counters only grow.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from prometheus_client.samples import Sample

from turnout.infra.observation import GroupFigures, ModelFigures
from turnout.observe.tally import (
    BOUNDS,
    FAILURES,
    Field,
    Tallies,
    Tally,
    Where,
    attempt_buckets,
    failures,
    first_token_buckets,
    growth,
    nothing,
    tally,
    total,
)

WINDOW_S = 300.0
"""Seconds that figures look back on."""
LEAST_S = 20.0
"""Seconds that must lie behind before there are figures at all. A guess: a few looks."""
APART_S = 15.0
"""Seconds between looks that are kept; the latest one is always kept."""
USUAL_S = 6 * 3600.0
"""Seconds that a model's usual looks back on: what is slow for less than half of that does not become the usual."""
LEAST_ATTEMPTS = 10
"""Attempts in a window below which its time per answer tells nothing. A guess: answers differ in length tenfold."""
LEAST_WINDOWS = 3
"""Windows that make a usual: with fewer, one odd window would be the measure of all others."""


@dataclass(frozen=True)
class Look:
    """What one router had counted at one moment, in seconds of a steady clock, since it was first looked at."""

    at: float
    tallies: Tallies


class Sampler:
    """Collects looks at the routers of one namespace."""

    def __init__(self) -> None:
        self._looks: dict[str, deque[Look]] = defaultdict(deque)
        self._shown: dict[str, Tallies] = {}
        self._since: float | None = None
        self._usual = Usual()

    def add(self, life: str, samples: Iterable[Sample], now: float) -> None:
        """A look at a router; life changes whenever its counters begin anew."""
        self._since = now if self._since is None else self._since
        looks, shown = self._looks[life], tally(samples)
        if not looks:
            looks.append(Look(now, {}))
            self._shown[life] = {} if now > self._since else shown  # after the first look, all that it counted is news
        counted = total(looks[-1].tallies, growth(self._shown[life], shown))
        self._shown[life] = shown
        if len(looks) > 2 and looks[-1].at - looks[-2].at < APART_S:
            looks.pop()
        looks.append(Look(now, counted))
        while len(looks) > 2 and looks[1].at <= now - WINDOW_S:
            looks.popleft()
        if self._usual.due(self._since, now):
            self._usual.add(self._window(), now)

    def keep(self, lives: Set[str]) -> None:
        """Forget routers that are gone."""
        for life in self._looks.keys() - lives:
            del self._looks[life], self._shown[life]

    def figures(self, now: float) -> dict[str, GroupFigures] | None:
        """By group, those with traffic; None while there is too little to tell, or silence shorter than the window."""
        if self._since is None or now - self._since < LEAST_S:
            return None
        moved = self._window()
        silent = not any(map(any, moved.values()))
        if silent and now - self._since < WINDOW_S:
            return None
        return figures(moved, self._usual.known, minutes=min(now - self._since, WINDOW_S) / 60)

    def _window(self) -> dict[Where, Tally]:
        """What all routers counted within the window."""
        return total(*(growth(looks[0].tallies, looks[-1].tallies) for looks in self._looks.values()))


class Usual:
    """What an answer of each model usually takes: the median over the windows of the last hours."""

    def __init__(self) -> None:
        self._windows: dict[Where, deque[tuple[float, float]]] = defaultdict(deque)
        self._added_at: float | None = None

    def due(self, since: float, now: float) -> bool:
        """Whether a whole window has passed since the last one, or since the beginning."""
        return now - (since if self._added_at is None else self._added_at) >= WINDOW_S

    def add(self, window: Tallies, now: float) -> None:
        """A window that has just ended."""
        self._added_at = now
        for where, counts in window.items():
            taken = time_per_answer(counts)
            if taken is not None:
                self._windows[where].append((now, taken))
        for where, windows in list(self._windows.items()):
            while windows and windows[0][0] <= now - USUAL_S:
                windows.popleft()
            if not windows:
                del self._windows[where]

    @property
    def known(self) -> dict[Where, float]:
        """Milliseconds for each answer, of models that have a usual."""
        return {
            where: median(taken for _, taken in windows)
            for where, windows in self._windows.items()
            if len(windows) >= LEAST_WINDOWS
        }


def time_per_answer(counts: Tally) -> float | None:
    """Milliseconds of all attempts for each that did not fail: it rises with slow answers and with slow failures, and
    falls with neither. None: too few attempts to tell.
    """
    attempts, timed = counts[Field.ATTEMPTS], counts[Field.MS_COUNT]
    answered = attempts - sum(failures(counts))
    if attempts < LEAST_ATTEMPTS or answered <= 0 or not timed:
        return None
    return counts[Field.MS_SUM] / timed * attempts / answered  # Envoy's histograms are seconds behind its counters


def figures(window: Tallies, usual: Mapping[Where, float], *, minutes: float) -> dict[str, GroupFigures]:
    """What so much in so many minutes says, by group."""
    moved = {where: counts for where, counts in window.items() if any(counts)}
    result = {}
    for group in sorted({group for group, _ in moved} - {""}):
        whole = moved.get((group, ""), nothing())
        models = {model: counts for (of, model), counts in moved.items() if of == group and model}
        all_models = total(*({("", ""): counts} for counts in models.values())).get(("", ""), nothing())
        result[group] = GroupFigures(
            fallback_share=_ratio(whole[Field.FALLBACK_REQUESTS], whole[Field.REQUESTS]),
            models={
                name: _model(models[name], all_models, usual.get((group, name)), minutes) for name in sorted(models)
            },
        )
    return result


def _model(counts: Tally, group: Tally, usual: float | None, minutes: float) -> ModelFigures:
    settled, tokens, attempts = counts[Field.MS_COUNT], counts[Field.TOKENS], counts[Field.ATTEMPTS]
    taken = time_per_answer(counts)
    return ModelFigures(
        requests_per_minute=_rounded(attempts / minutes),
        tokens_per_minute=_rounded(tokens / minutes) if tokens else None,
        share=_ratio(counts[Field.ANSWERS], group[Field.ANSWERS]),
        first_attempt_share=_ratio(counts[Field.FIRST_ATTEMPTS], group[Field.FIRST_ATTEMPTS]),
        error_rate=_ratio(sum(failures(counts)), attempts),
        errors=_errors(counts),
        mean_ms=_rounded(counts[Field.MS_SUM] / settled) if settled else None,
        p95_ms=quantile(attempt_buckets(counts), 0.95) if settled else None,
        first_token_p95_ms=quantile(first_token_buckets(counts), 0.95),
        per_answer_ms=None if taken is None else _rounded(taken),
        usual_ms=None if usual is None else _rounded(usual),
        cost_per_1k_tokens=_rounded(counts[Field.NANO_USD] / 1e6 / tokens)
        if tokens and counts[Field.NANO_USD]
        else None,
    )


def _errors(counts: Tally) -> tuple[tuple[str, Decimal], ...]:
    found = [(-count, result) for result, count in zip(FAILURES, failures(counts), strict=True) if count > 0]
    return tuple((result, _rounded(-count / counts[Field.ATTEMPTS])) for count, result in sorted(found))


def quantile(events_up_to: Sequence[float], share: float) -> Decimal | None:
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
