"""Counts of requests by token, as each router tells them → which tokens are used. No I/O; fed by the watchers."""

from collections.abc import Iterable, Set
from datetime import datetime

from prometheus_client.samples import Sample

from turnout.decide.facts import Uses

METRIC = "turnout_token_requests_total"


class UseBook:
    """Remembers looks at routers. A router that was not seen for a while tells afterwards what it counted meanwhile."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, float]] = {}
        self._looked: dict[str, datetime] = {}
        self._last: dict[str, datetime] = {}
        self._requests: dict[str, int] = {}
        self._since: datetime | None = None

    def add(self, life: str, samples: Iterable[Sample], now: datetime) -> None:
        """A look at a router. life: one process of it, whose counters begin at zero; now: aware UTC."""
        before = self._counts.get(life, {})
        counts = {s.labels.get("token", ""): s.value for s in samples if s.name == METRIC}
        for token, count in counts.items():
            more = count - before.get(token, 0.0)
            if more > 0:
                self._last[token] = now
                self._requests[token] = self._requests.get(token, 0) + int(more)
        self._counts[life], self._looked[life] = counts, now

    def keep(self, lives: Set[str]) -> None:
        """Forget routers that are gone."""
        for life in self._counts.keys() - lives:
            del self._counts[life], self._looked[life]

    def uses(self, lives: Iterable[str], since: datetime) -> Uses:
        """What is known, if these are the routers that take traffic, and a look at them began at `since`.

        One of them that did not answer may have seen anything: then nobody can tell what was unused.
        """
        alive = set(lives)
        complete = bool(alive) and all(life in self._looked and self._looked[life] >= since for life in alive)
        if complete and self._since is None:
            self._since = since
        return Uses(dict(self._last), dict(self._requests), self._since if complete else None)
