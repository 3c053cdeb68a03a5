"""What was seen of a key's tokens, Secrets and workloads: what decide.rotation goes by. Pure data.

Filled by the fronts, after the routers run what was decided last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

Names = tuple[str, str]
"""Kind and name of a workload."""


class RolloutState(StrEnum):
    """How a workload stands."""

    DONE = "Done"
    UNDER_WAY = "UnderWay"
    FAILED = "Failed"
    MISSING = "Missing"


@dataclass(frozen=True)
class Rollout:
    """A workload that uses a key.

    Attributes:
        token: id of the token that it was last restarted for; empty: never.
        message: why it failed or has not come further, for a person.
        obstacle: why it cannot be restarted, for a person; empty: it can.
    """

    state: RolloutState
    token: str = ""
    message: str = ""
    obstacle: str = ""


@dataclass(frozen=True)
class Uses:
    """Which tokens routers have seen, as far as they were watched. Times are aware UTC.

    Attributes:
        last: token id → when a request with it was last seen.
        requests: token id → requests that were seen, by the minute in which they were.
        watched: from when to when every router was watched without a gap; None: one does not answer.
    """

    last: Mapping[str, datetime] = field(default_factory=dict)
    requests: Mapping[str, Mapping[datetime, int]] = field(default_factory=dict)
    watched: tuple[datetime, datetime] | None = None

    def unused_for(self, token: str) -> timedelta | None:
        """How long no request with the token was seen, until the last look; None: nobody can tell."""
        if self.watched is None:
            return None
        since, until = self.watched
        return max(until - max(since, self.last.get(token, since)), timedelta())

    def requests_since(self, token: str, since: datetime) -> int:
        """Requests with the token that were seen in the minute of `since` or later."""
        seen = self.requests.get(token, {}).items()
        return sum(count for minute, count in seen if minute >= since.replace(second=0, microsecond=0))

    def seen_within(self, token: str, span: timedelta, now: datetime) -> bool:
        """Whether a request with the token was seen in the last so many seconds."""
        last = self.last.get(token)
        return last is not None and now - last < span


@dataclass(frozen=True)
class Facts:
    """What is known of one key.

    Attributes:
        accepted: ids of tokens that every ready router was just seen to accept.
        refused: ids of tokens that every ready router was just seen to refuse.
        handed_out: every Secret of the key holds its current token.
        at_home: those in its own namespace do, which are what its workloads read; in an emergency: or never will by
            themselves.
        none_old: no Secret holds an older token of it, though one may not hold the current.
        unwritten: why some Secret could not be written, for a person; empty: none failed.
        denied: the same, if it will not pass by itself.
        rollouts: each workload that was looked at.
    """

    accepted: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    handed_out: bool = False
    at_home: bool = False
    none_old: bool = False
    unwritten: str = ""
    denied: str = ""
    rollouts: Mapping[Names, Rollout] = field(default_factory=dict)
    uses: Uses = field(default_factory=Uses)
