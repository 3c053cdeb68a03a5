"""What was seen of a key's tokens, Secrets and workloads: what decide.rotation goes by. Pure data.

Filled by the fronts, after the routers run what was decided last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


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
        requests: token id → requests that were seen.
        watched_since: from when on every router was watched without a gap; None: there is one.
    """

    last: Mapping[str, datetime] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    watched_since: datetime | None = None

    def unused_for(self, token: str, now: datetime) -> timedelta | None:
        """How long no request with the token was seen; None: nobody can tell."""
        if self.watched_since is None:
            return None
        return max(now - max(self.watched_since, self.last.get(token, self.watched_since)), timedelta())

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
        denied: why a Secret cannot be written, for a person; empty: nothing speaks against it.
        rollouts: (kind, name) → each workload that was looked at.
    """

    accepted: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    handed_out: bool = False
    denied: str = ""
    rollouts: Mapping[tuple[str, str], Rollout] = field(default_factory=dict)
    uses: Uses = field(default_factory=Uses)
