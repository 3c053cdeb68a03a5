"""A line in the log for each thing that happens to a key's tokens; never a token itself."""

import logging
from collections.abc import Iterator, Mapping

from turnout.api.scopedkey import TokenState
from turnout.decide.issued import Issued, Rotation
from turnout.decide.keys import KeyState

log = logging.getLogger(__name__)

NOTHING = Issued()


def tell(state: KeyState, after: Issued, where: str = "") -> None:
    """Say what changed. after: what is kept next; where: words before each line."""
    tell_all({state.name: state.issued}, {state.name: after}, where)


def tell_all(before: Mapping[str, Issued], after: Mapping[str, Issued], where: str = "") -> None:
    """The same for all keys of a keyring, by name."""
    for name in sorted(before.keys() | after.keys()):
        for line in _changes(before.get(name, NOTHING), after.get(name, NOTHING)):
            log.info("%skey %s: %s", where, name, line)


def _changes(before: Issued, after: Issued) -> Iterator[str]:
    old, new = before.rotation, after.rotation
    if old is not None and (new is None or new.token != old.token):
        yield f"rotation to token {old.token} {_end(old, before, after)}"
    if new is not None and (old is None or (old.token, old.step) != (new.token, new.step)):
        yield f"{'emergency ' * new.emergency}rotation to token {new.token}: {new.step.value}"
    for token in after.tokens:
        known = before.find(token.id)
        if known is None and (new is None or new.token != token.id):
            yield f"token {token.id} is issued"
        if token.state is TokenState.REVOKED and (known is None or known.state is not TokenState.REVOKED):
            yield f"token {token.id} is revoked"
    for token in before.tokens:
        if token.state is not TokenState.REVOKED and after.find(token.id) is None:
            gone = "its key is gone" if not after.tokens else "its lifetime is over and nobody has it"
            yield f"token {token.id} is dropped, as {gone}"
    if after.revocation is not None and after.revocation != before.revocation:
        yield f"token {after.revocation.token} is refused by every router, after {after.revocation.took_ms} ms"


def _end(rotation: Rotation, before: Issued, after: Issued) -> str:
    token = after.find(rotation.token)
    if token is not None and token.state is TokenState.REVOKED:
        return "ends: the token is revoked"
    if after.failure is not None and after.failure != before.failure:
        return f"failed: {after.failure.message}"
    return "is over"
