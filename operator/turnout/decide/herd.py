"""How many rotations time may begin in one minute: keys that are overdue together are spread over minutes. Pure.

Jitter keeps keys of one age apart. But a thousand old ones are due in one moment when `rotation.every` is added to all
of them, or when the operator was away for long; each restarts its workloads.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from turnout.api import ScopedKey
from turnout.decide.issued import Issued
from turnout.decide.rotation import JITTER, span, triggered

AT_LEAST = 20
"""Rotations that may begin in a minute in any case. A guess: as many restarts a cluster does without noticing."""
MINUTE = timedelta(minutes=1)


class Herd:
    """Lets as many keys begin as would if jitter had spread them: all of them in a tenth of the time between two of a
    key's rotations.

    Keys that rotate more often than it are not counted against a key: they must not keep it from rotating.
    """

    def __init__(self, keys: Iterable[tuple[ScopedKey, Issued]], *, now: datetime) -> None:
        """keys: all of a namespace, as they stand."""
        spans = [(span(key), issued) for key, issued in keys]
        self._keys = len(spans)
        self._recent = [every for every, issued in spans if every is not None and _is_recent(issued, now)]

    def takes(self, key: ScopedKey, issued: Issued) -> bool:
        """Whether a rotation of it that is due may begin now; it is counted then. One that a trigger asks for may."""
        every = span(key)
        if every is None or triggered(key, issued):
            return True
        room = max(AT_LEAST, self._keys * (MINUTE / (every * JITTER)))
        taken = sum(other >= every for other in self._recent) < room
        if taken:
            self._recent.append(every)
        return taken


def _is_recent(issued: Issued, now: datetime) -> bool:
    return bool(issued.tokens) and now - issued.tokens[-1].issued_at < MINUTE
