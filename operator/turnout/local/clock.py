"""The time of day as rollouts see it: the real one, or one that passes faster, to watch a day's rollout in a minute."""

from datetime import UTC, datetime


class Clock:
    """Begins at the real time, and passes `speed` times as fast."""

    def __init__(self, speed: float = 1) -> None:
        self.speed = speed
        self._began = datetime.now(UTC)

    def now(self) -> datetime:
        """Aware UTC."""
        return self.at(datetime.now(UTC))

    def at(self, real: datetime) -> datetime:
        """What the time of day is when it really is `real`."""
        return self._began + (real - self._began) * self.speed
