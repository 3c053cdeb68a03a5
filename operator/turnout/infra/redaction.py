"""Text that may quote secrets → text that does not. Pure."""

import re
from collections.abc import Iterable

from turnout.decide.ir import Router

HIDDEN = "***"
_TOKENS = re.compile(r"(?i)\b(bearer\s+|sk-)[^\s\"',;]+")


def secrets_of(router: Router | None) -> frozenset[str]:
    """Every token and credential that a router knows."""
    if router is None:
        return frozenset()
    tokens = {key.token.get_secret_value() for key in router.keys}
    return frozenset(tokens | {lane.credential.get_secret_value() for lane in router.lanes if lane.credential})


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text with *** for these secrets, and for whatever looks like a token.

    >>> redacted('credential "hunter2-hunter2" of Bearer abc', ["hunter2-hunter2"])
    'credential "***" of ***'
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # the longest first: one may contain another
        text = text.replace(secret, HIDDEN)
    return _TOKENS.sub(HIDDEN, text)
