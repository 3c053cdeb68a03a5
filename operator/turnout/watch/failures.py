"""Runs of a namespace that fail: told in the log, counted, and tried again after longer and longer."""

import logging

from turnout.errors import DeniedError, TurnoutError
from turnout.watch.context import Context

log = logging.getLogger(__name__)

RETRY_S, RETRY_AT_MOST_S = 1.0, 60.0
"""Seconds until a failed run is repeated; doubled each time up to the second."""
TERMINATING = "because it is being terminated"
"""What the API server says of a namespace on its way out; the rest of it follows by itself."""


class Failures:
    """Those of one namespace since it was well last."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context, self._namespace = context, namespace
        self._count = 0

    def note(self, error: Exception) -> float:
        """One more; after how many seconds to try again."""
        if isinstance(error, TurnoutError):
            level = logging.INFO if TERMINATING in str(error) else logging.WARNING
            log.log(level, "namespace %s: %s", self._namespace, error)
        else:
            log.error("namespace %s: a bug", self._namespace, exc_info=error)
        self._context.metrics.errors.labels(self._namespace).inc()
        self._count = min(self._count + 1, 10)
        return min(RETRY_S * 2.0 ** (self._count - 1), RETRY_AT_MOST_S)

    def words(self, error: Exception) -> str:
        """What a status says of it; empty: nothing. A single failure is often over before anybody could read of it; a
        refusal is not.
        """
        if not isinstance(error, DeniedError) and self._count < 2:
            return ""
        return str(error) if isinstance(error, TurnoutError) else "a bug; see the operator's log"

    def end(self) -> None:
        """All is well again."""
        self._count = 0
