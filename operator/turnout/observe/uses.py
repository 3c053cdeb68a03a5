"""Counts of requests by token, as each router tells them → which tokens are used. No I/O; fed by the watchers.

Routers count by slots, which pass from token to token, and say which token had the slot at its last request. So it does
not matter who has it in the keyring by now, or in the configuration that this router runs. A slot passes on only when
all refuse its last holder: what both had between two looks is taken for the new one's, and nobody waits for a dead one.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client.samples import Sample

from turnout.decide.facts import Uses

REQUESTS = "turnout_token_requests_total"
USED_AT = "turnout_token_last_used_timestamp_seconds"
USED = "turnout_token_last_used_id"
Slot = tuple[str, str]
"""A key's name, and a slot of it."""
REMEMBERED = timedelta(hours=1)
"""For how long it is known how many requests came in a minute."""


@dataclass(frozen=True)
class Count:
    """What a router has counted in a slot, and of which token the last was; empty: it does not say."""

    requests: float = 0.0
    token: str = ""


class UseBook:
    """Remembers looks at routers. A router that was not seen for a while tells afterwards what it counted meanwhile."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[Slot, Count]] = {}
        self._looked: dict[str, datetime] = {}
        self._last: dict[str, datetime] = {}
        self._requests: dict[str, dict[datetime, int]] = {}
        self._since: datetime | None = None
        self._silent: set[str] = set()

    def add(self, life: str, samples: Iterable[Sample], now: datetime) -> None:
        """A look at a router. life: one process of it, whose counters begin at zero; now: aware UTC.

        What came since the last look is dated by this one. What came before the first look may be of any time, so the
        router's word is taken for it; its clock may be another, and is asked for nothing else.
        """
        found: dict[str, dict[Slot, float]] = {REQUESTS: {}, USED_AT: {}, USED: {}}
        for sample in samples:
            if sample.name in found:
                found[sample.name][sample.labels.get("key", ""), sample.labels.get("slot", "")] = sample.value
        counts = {slot: Count(requests, _id(found[USED].get(slot, 0.0))) for slot, requests in found[REQUESTS].items()}
        is_new, before = life not in self._counts, self._counts.get(life, {})
        for slot, count in counts.items():
            seen = before.get(slot, Count())
            more = count.requests - seen.requests
            if not count.token or (more <= 0 and count.token == seen.token):
                continue
            said = found[USED_AT].get(slot) if is_new else None
            used = now if said is None else datetime.fromtimestamp(min(said, now.timestamp()), UTC)
            self._last[count.token] = max(used, self._last.get(count.token, used))
            if not is_new:
                self._count(count.token, int(more), now)
        self._counts[life], self._looked[life] = counts, now

    def keep(self, lives: Set[str]) -> None:
        """Forget routers that are gone. One that did not answer to its end takes with it what it saw."""
        if self._silent - lives:
            self._since = None
        self._silent &= lives
        for life in self._counts.keys() - lives:
            del self._counts[life], self._looked[life]

    def forget(self, known: Set[str]) -> None:
        """Forget tokens that are not among these, the ids of all that a keyring holds."""
        for token in self._last.keys() - known:
            del self._last[token]
            self._requests.pop(token, None)

    def uses(self, lives: Iterable[str], since: datetime) -> Uses:
        """What is known, if these are the routers that take traffic, and a look at them began at `since`.

        One of them that did not answer may have seen anything: then nobody can tell what was unused.
        """
        alive = set(lives)
        asked = alive | self._silent
        self._silent = {life for life in asked if life not in self._looked or self._looked[life] < since}
        complete = bool(alive) and not self._silent
        if complete and self._since is None:
            self._since = since
        watched = (self._since, since) if complete and self._since is not None else None
        return Uses(dict(self._last), dict(self._requests), watched)

    def _count(self, token: str, more: int, now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        seen = {at: count for at, count in self._requests.get(token, {}).items() if now - at < REMEMBERED}
        self._requests[token] = {**seen, minute: seen.get(minute, 0) + more}


def _id(number: float) -> str:
    """A token's id out of the number by which the filter tells it: its digits behind a 1."""
    return f"{int(number):x}"[1:]
