"""Counts of requests by token, as each router tells them → which tokens are used. No I/O; fed by the watchers."""

from collections.abc import Iterable, Set
from datetime import UTC, datetime

from prometheus_client.samples import Sample

from turnout.decide.facts import Uses

REQUESTS = "turnout_token_requests_total"
USED_AT = "turnout_token_last_used_timestamp_seconds"


class UseBook:
    """Remembers looks at routers. A router that was not seen for a while tells afterwards what it counted meanwhile."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, float]] = {}
        self._looked: dict[str, datetime] = {}
        self._last: dict[str, datetime] = {}
        self._requests: dict[str, int] = {}
        self._since: datetime | None = None

    def add(self, life: str, samples: Iterable[Sample], now: datetime) -> None:
        """A look at a router. life: one process of it, whose counters begin at zero; now: aware UTC.

        What came since the last look is dated by this one. What came before the first look may be of any time, so the
        router's word is taken for it; its clock may be another, and is asked for nothing else.
        """
        found: dict[str, dict[str, float]] = {REQUESTS: {}, USED_AT: {}}
        for sample in samples:
            if sample.name in found:
                found[sample.name][sample.labels.get("token", "")] = sample.value
        counts, before = found[REQUESTS], self._counts.get(life, {})
        said = {} if life in self._counts else found[USED_AT]
        for token, count in counts.items():
            more = count - before.get(token, 0.0)
            if more > 0:
                used = datetime.fromtimestamp(min(said.get(token, now.timestamp()), now.timestamp()), UTC)
                self._last[token] = max(used, self._last.get(token, used))
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
