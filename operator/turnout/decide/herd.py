"""How many rotations time may begin in one minute: keys that are overdue together are spread over minutes. Pure.

Jitter keeps keys of one age apart. But a thousand old ones are due in one moment when `rotation.every` is added to all
of them, or when the operator was away for long; each restarts its workloads.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from turnout.api import ScopedKey
from turnout.decide.draining import is_over
from turnout.decide.issued import Issued
from turnout.decide.rotation import JITTER, span, triggered

AT_LEAST = 20
"""Rotations that may begin in a minute in any case. A guess: as many restarts a cluster does without noticing."""
MINUTE = timedelta(minutes=1)


class Herd:
    """Lets as many keys begin as would if jitter had spread them: all of them in a tenth of the time between two of a
    key's rotations.

    Keys that rotate more often than it are not counted against a key, nor are new ones: they must not keep it from
    rotating. One whose token dies before its turn may come waits for none.
    """

    def __init__(self, keys: Iterable[tuple[ScopedKey, Issued]], *, now: datetime) -> None:
        """keys: all of a namespace, as they stand."""
        everything = list(keys)
        spans = [span(key) for key, issued in everything if _has_begun(key, issued, now)]
        self._now, self._keys = now, len(everything)
        self._recent = [every for every in spans if every is not None]

    def takes(self, key: ScopedKey, issued: Issued) -> bool:
        """Whether a rotation of it that is due may begin now; it is counted then. One that a trigger asks for may."""
        every = span(key)
        if every is None or triggered(key, issued):
            return True
        if issued.active is not None and is_over(key, issued.active, self._now + every * JITTER):
            return True
        room = max(AT_LEAST, self._keys * (MINUTE / (every * JITTER)))
        taken = sum(other >= every for other in self._recent) < room
        if taken:
            self._recent.append(every)
        return taken


def _has_begun(key: ScopedKey, issued: Issued, now: datetime) -> bool:
    """Whether a rotation of it has begun in the last minute, and not the key itself."""
    made = key.metadata.creation_timestamp
    is_new = made is not None and now - made < MINUTE
    return bool(issued.tokens) and now - issued.tokens[-1].issued_at < MINUTE and not is_new
