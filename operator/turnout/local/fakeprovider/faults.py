"""What is wrong with a fake provider, as values. Pure; named on the command line or through the control path.

A mode is a word, for some with an argument behind a colon:

    ok              answer
    NNN             answer with that status, 400–599, and an error in OpenAI's shape
    NNN:S           the same with `Retry-After: S`
    slow:S          answer S seconds late, headers included
    ttft:S          headers (and a stream's role chunk) at once, the first content S seconds later
    hang            take the request, say nothing
    drop            close the connection without an answer (also: down); reset does it with a TCP reset
    cut:N           close the connection after N pieces of content (default 3); of a JSON answer, in the middle
    end:N           end cleanly after N pieces, with neither finish reason nor [DONE]; JSON: half of it
    stall:N         fall silent after N pieces (default 3); stall:0 is a role chunk and then silence
    comments        a stream of comments that never comes to the point
    error-event:N   an error inside a 200, after N pieces (default 0)
    garbage, html, empty, no-choices, no-content    a 200 that is no answer
    raw             the bytes that the control path was given, see server
"""

import math
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The modes; STATUS stands for all that are written as a number."""

    OK = "ok"
    STATUS = "status"
    SLOW = "slow"
    TTFT = "ttft"
    HANG = "hang"
    DROP = "drop"
    RESET = "reset"
    CUT = "cut"
    END = "end"
    STALL = "stall"
    COMMENTS = "comments"
    ERROR_EVENT = "error-event"
    GARBAGE = "garbage"
    HTML = "html"
    EMPTY = "empty"
    NO_CHOICES = "no-choices"
    NO_CONTENT = "no-content"
    RAW = "raw"


ALIASES = {"down": Kind.DROP, "midstream": Kind.CUT}
PIECES = {Kind.CUT: 3, Kind.END: 3, Kind.STALL: 3, Kind.ERROR_EVENT: 0}
"""Modes that count pieces of content, each with its default."""


@dataclass(frozen=True)
class Fault:
    """One way to answer. seconds belongs to SLOW, TTFT and, as Retry-After, to STATUS; pieces to those in PIECES."""

    kind: Kind = Kind.OK
    status: int = 200
    seconds: float | None = None
    pieces: int = 0

    def __str__(self) -> str:
        """The mode as it is written."""
        word = str(self.status) if self.kind is Kind.STATUS else str(self.kind)
        if self.kind in PIECES:
            return f"{word}:{self.pieces}"
        return word if self.seconds is None else f"{word}:{self.seconds:g}"


def parse(mode: str) -> Fault:
    """The fault that a mode names. Raises ValueError with a message for a person."""
    word, _, argument = mode.strip().partition(":")
    if word.isdecimal():
        status = int(word)
        if not 400 <= status <= 599:
            raise ValueError(f"{word} is no error status: 400 to 599")
        return Fault(Kind.STATUS, status=status, seconds=_number(mode, argument) if argument else None)
    kind = ALIASES.get(word) or next((k for k in Kind if k == word and k is not Kind.STATUS), None)
    if kind is None:
        words = ", ".join(k for k in Kind if k is not Kind.STATUS)
        raise ValueError(f"unknown mode {word!r}: a status from 400 to 599, or {words}")
    if kind in PIECES:
        return Fault(kind, pieces=int(_number(mode, argument)) if argument else PIECES[kind])
    if kind in (Kind.SLOW, Kind.TTFT):
        return Fault(kind, seconds=_number(mode, argument))
    if argument:
        raise ValueError(f"{word} takes no argument")
    return Fault(kind)


def _number(mode: str, argument: str) -> float:
    try:
        number = float(argument)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 3600:
        raise ValueError(f"{mode!r}: a number from 0 to 3600 belongs behind the colon")
    return number


@dataclass(frozen=True)
class Outage:
    """A provider that goes down on schedule: for the last `lasts` seconds of every `every` seconds."""

    every: float
    lasts: float

    def down(self, elapsed: float) -> bool:
        """Whether it is down, so many seconds after its start."""
        return elapsed % self.every >= self.every - self.lasts
