"""A line in the log for each thing that happens to a key's tokens; never a token itself."""

import logging

from turnout.decide.issued import Issued
from turnout.decide.keys import KeyState

log = logging.getLogger(__name__)


def tell(state: KeyState, after: Issued, where: str = "") -> None:
    """Say what changed. after: what is kept next; where: words before each line."""
    before, name = state.issued, f"{where}key {state.name}"
    old, new = before.rotation, after.rotation
    if new is not None and (old is None or old.step is not new.step):
        log.info("%s: rotation to token %s: %s", name, new.token, new.step.value)
    if old is not None and new is None:
        log.info("%s: rotation to token %s %s", name, old.token, _end(after))
    if after.revocation is not None and after.revocation != before.revocation:
        token, took_ms = after.revocation.token, after.revocation.took_ms
        log.info("%s: token %s is refused by every router, after %d ms", name, token, took_ms)


def _end(after: Issued) -> str:
    return f"failed: {after.failure.message}" if after.failure else "is over"
