"""Modes of the fake provider, read and written."""

import pytest

from turnout.local.fakeprovider import Fault, Kind, parse
from turnout.local.fakeprovider.control import Control
from turnout.local.fakeprovider.faults import Outage


@pytest.mark.parametrize(
    ("mode", "fault"),
    [
        ("ok", Fault()),
        ("503", Fault(Kind.STATUS, status=503)),
        ("429:2", Fault(Kind.STATUS, status=429, seconds=2)),
        ("slow:1.5", Fault(Kind.SLOW, seconds=1.5)),
        ("down", Fault(Kind.DROP)),
        ("cut", Fault(Kind.CUT, pieces=3)),
        ("stall:0", Fault(Kind.STALL, pieces=0)),
        ("error-event", Fault(Kind.ERROR_EVENT)),
    ],
)
def test_a_mode_is_read_as_its_fault(mode: str, fault: Fault) -> None:
    """Every form of a mode has one meaning, and what is written of it is read back as the same."""
    assert parse(mode) == fault
    assert parse(str(fault)) == fault


@pytest.mark.parametrize("mode", ["", "200", "600", "slow", "slow:x", "slow:-1", "hang:3", "nonsense", "status"])
def test_a_mode_that_is_none_is_refused(mode: str) -> None:
    """A typing error is a message, not a provider that quietly stays healthy."""
    with pytest.raises(ValueError, match=r"."):
        parse(mode)


def test_a_fault_for_some_requests_ends_after_them() -> None:
    """With times=2 the third request is answered."""
    control = Control()
    control.set(parse("503"), times=2)
    assert [control.next().kind for _ in range(3)] == [Kind.STATUS, Kind.STATUS, Kind.OK]


def test_an_outage_takes_the_end_of_each_period() -> None:
    """60s/10s is down from the 50th to the 60th second, again and again."""
    outage = Outage(every=60, lasts=10)
    assert [outage.down(t) for t in (0, 49.9, 50, 59.9, 60, 110)] == [False, False, True, True, False, True]


def test_the_error_rate_is_kept() -> None:
    """Of 2,000 requests at 5 %, about 100 fail; with a seed always the same ones."""
    import random

    failures = [Control(0.05, 500, None, random.Random(7)) for _ in range(2)]
    counts = [sum(c.next().kind is Kind.STATUS for _ in range(2_000)) for c in failures]
    assert counts[0] == counts[1]
    assert 70 < counts[0] < 130
