"""What must come of each fault: what the client sees, attempts at both providers, and when the circuit opens."""

from dataclasses import dataclass

from faults.calls import Saw
from faults.catalogue import Case


@dataclass(frozen=True)
class Expected:
    """Of every call until the circuit is open; afterwards the fallback answers, and the primary is not asked.

    Attributes:
        opens: calls after which the circuit is open; None: never.
        status: of an error that the client sees.
        lasts: False: it is open for a tenth of a second only, so who answers the later calls is not said.
    """

    saw: Saw
    primary: int = 1
    fallback: int = 0
    opens: int | None = None
    status: int | None = None
    lasts: bool = True


OPEN = Expected(Saw.FALLBACK, primary=0, fallback=1)
"""Every call once the circuit is open."""

MADE_GOOD = Expected(Saw.FALLBACK, fallback=1, opens=2)
PAUSED = Expected(Saw.FALLBACK, fallback=1, opens=1)
"""The provider itself has said that it wants to be left alone."""

LIMITED = Expected(Saw.FALLBACK, fallback=1, opens=1, lasts=False)
"""It is at its limit, and does not say for how long."""

RAISES = Expected(Saw.BROKEN, opens=2)
"""Something has reached the client already: nobody else can answer, and the client must not take it for whole."""

ANSWERED = Expected(Saw.PRIMARY)


def _clients(status: int) -> Expected:
    return Expected(Saw.ERROR, status=status)


MADE_GOOD_KEYS = (
    *("refused", "black-hole", "no-tls", "closed", "reset", "half-headers", "closed-after-headers"),
    *("reset-after-headers", "not-http", "bad-chunk"),
    *("silent", "late-headers", "late-content", "late-token", "only-headers", "only-role", "keep-alive"),
    *("keep-alive-silence", "only-empty"),
    *("500", "502", "503", "504", "524", "529", "408", "409", "302"),
    *("401", "402", "403", "404"),
    *("html", "garbage", "half", "half-cut", "half-silence", "nothing", "no-events", "204", "no-content"),
    *("no-choices", "only-done", "not-a-stream", "not-json"),
    *("error-openai", "error-anthropic", "error-gemini", "error-gemini-list", "error-openrouter"),
    *("error-in-choice", "error-after-role"),
    *("huge-headers", "many-headers"),
)
"""Faults of which the client sees nothing, and which open the circuit after two in a row."""

EXPECTED: dict[str, Expected] = {
    **dict.fromkeys(MADE_GOOD_KEYS, MADE_GOOD),
    **dict.fromkeys(("503-after", "429-seconds", "429-date", "429-ms", "429-reset", "429-quota"), PAUSED),
    "429": LIMITED,
    **{key: _clients(int(key)) for key in ("400", "413", "422")},
    **dict.fromkeys(("cut", "cut-reset", "cut-clean", "cut-half", "stall", "error-under-way"), RAISES),
    **dict.fromkeys(("gzip", "wrong-type", "well"), ANSWERED),
}
"""By the fault's key."""

OF_ONE_FORM = {"wrong-type-stream": MADE_GOOD}
"""By the case's name, where JSON and stream differ: events are looked for in what calls itself a stream, only there."""


def expected(case: Case) -> Expected:
    """What must come of a case."""
    return OF_ONE_FORM.get(case.name) or EXPECTED[case.fault.key]
