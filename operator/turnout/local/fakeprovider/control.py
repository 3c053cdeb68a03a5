"""State of one fake provider: which fault rules the next request, and what was seen. Its control path:

    GET  /ctl                       the state as JSON
    GET  /ctl?mode=MODE             from now on; &times=N: for the next N requests; &for=S: for S seconds; then ok
    POST /ctl?mode=raw&status=200&type=text/event-stream&then=end|cut|stall     answer with the body of this POST
    GET  /ctl/seen                  the last requests, oldest first; &clear=1 forgets them afterwards

A request that was seen has: method, path, model, stream, headers (in lower case), bytes and sha256 of its body, the
body itself if it is small, the mode that ruled it, at (seconds since the provider's start), seconds it took, and its
outcome: open, answered, broken (on purpose), hung-up (the client left).
"""

import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.local.fakeprovider.faults import Fault, Kind, Outage

REMEMBERED = 5_000
"""Requests kept for /ctl/seen."""

LARGEST_BODY_KEPT = 16_384
"""Bytes up to which a body is kept whole: 80 MB for REMEMBERED of them."""


@dataclass
class Seen:
    """One request as the provider saw it."""

    method: str
    path: str
    headers: Mapping[str, str]
    model: str | None
    stream: bool
    bytes: int
    sha256: str
    body: str | None
    mode: str
    at: float
    seconds: float = 0.0
    outcome: str = "open"


@dataclass(frozen=True)
class Raw:
    """An answer given byte by byte through the control path. then: end, cut or stall."""

    status: int
    content_type: str
    body: bytes
    then: str


@dataclass
class Control:
    """Which fault rules. What the control path set comes first, then the outage on schedule, then the error rate."""

    error_rate: float = 0.0
    error_status: int = 500
    outage: Outage | None = None
    chance: random.Random = field(default_factory=random.Random)
    fault: Fault = field(default_factory=Fault)
    times: int | None = None
    until: float | None = None
    raw: Raw | None = None
    requests: int = 0
    started: float = field(default_factory=time.monotonic)
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def set(self, fault: Fault, *, times: int | None = None, seconds: float | None = None) -> None:
        """Let a fault rule from now on, or for so many requests, or so many seconds."""
        self.fault, self.times = fault, times
        self.until = None if seconds is None else self.elapsed + seconds

    def next(self) -> Fault:
        """The fault for the request that has just come."""
        self.requests += 1
        if (self.times is not None and self.times <= 0) or (self.until is not None and self.elapsed >= self.until):
            self.set(Fault())
        if self.fault.kind is not Kind.OK:
            if self.times is not None:
                self.times -= 1
            return self.fault
        if self.outage is not None and self.outage.down(self.elapsed):
            return Fault(Kind.DROP)
        if self.error_rate and self.chance.random() < self.error_rate:
            return Fault(Kind.STATUS, status=self.error_status)
        return self.fault

    def state(self) -> dict[str, Any]:
        """What GET /ctl shows."""
        state = {"mode": str(self.fault), "times": self.times, "requests": self.requests}
        return state | {"elapsed": round(self.elapsed, 3)}

    def requests_seen(self) -> list[dict[str, Any]]:
        """What GET /ctl/seen shows."""
        return [vars(seen) | {"headers": {n.lower(): v for n, v in seen.headers.items()}} for seen in self.seen]
