"""The time of day as rollouts see it: the real one, or one that passes faster, to watch a day's rollout in a minute."""

from datetime import UTC, datetime


class Clock:
    """Begins at the real time, and passes `speed` times as fast.

    Attributes:
        fast: whether it is no real time.
    """

    def __init__(self, speed: float = 1) -> None:
        self.fast = speed > 1
        self._speed = speed
        self._began = datetime.now(UTC)

    def now(self) -> datetime:
        """Aware UTC."""
        return self._began + (datetime.now(UTC) - self._began) * self._speed
