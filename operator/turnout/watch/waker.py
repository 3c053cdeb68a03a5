"""Many wake-ups → one run: after a moment of quiet, but never much later than the first of them."""

import asyncio


class Waker:
    """Collects reasons to run. Everything happens in one event loop."""

    def __init__(self, *, quiet_s: float, at_most_s: float) -> None:
        self._quiet_s = quiet_s
        self._at_most_s = at_most_s
        self._event = asyncio.Event()
        self._first = 0.0
        self._last = 0.0
        self._urgent = False
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> bool:
        """Whether somebody has called since the last run began."""
        return self._event.is_set()

    def wake(self, *, urgent: bool = False) -> None:
        """Run soon; urgent: without waiting for quiet."""
        now = asyncio.get_running_loop().time()
        if not self._event.is_set():
            self._first = now
        self._last = now
        self._urgent = self._urgent or urgent
        self._event.set()

    def wake_in(self, seconds: float) -> None:
        """Run after so many seconds, unless a run begins earlier."""
        self._cancel()
        self._alarm = asyncio.get_running_loop().call_later(max(seconds, 0), self.wake)

    async def wait(self) -> float:
        """Return when a run is due; it takes all wake-ups so far, and the alarm, with it.

        The result is the loop's time of the first of them.
        """
        await self._event.wait()
        loop = asyncio.get_running_loop()
        while not self._urgent:
            due = min(self._last + self._quiet_s, self._first + self._at_most_s)
            if loop.time() >= due:
                break
            await asyncio.sleep(min(due - loop.time(), 0.05))  # short, so that an urgent one is noticed
        self._event.clear()
        self._urgent = False
        self._cancel()
        return self._first

    def _cancel(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
