"""Durations, decimals, times and whole numbers: strings outside, exact values inside."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from turnout.api.quantities import (
    Amount,
    Time,
    Whole,
    Within,
    format_decimal,
    format_duration,
    format_time,
    parse_duration,
    parse_time,
)

MILLISECOND = timedelta(milliseconds=1)
durations = st.integers(0, 9999 * 86_400_000).map(lambda count: count * MILLISECOND)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("24h", timedelta(hours=24)),
        ("90d", timedelta(days=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("1h30m", timedelta(minutes=90)),
        ("1h2m3s4ms", timedelta(hours=1, minutes=2, seconds=3, milliseconds=4)),
        ("0s", timedelta()),
    ],
)
def test_a_duration_is_read(text: str, value: timedelta) -> None:
    """Units h, m, s, ms may be put together; days stand alone."""
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "10", "s", "1.5s", "-1s", "1s1m", "1d12h", "10 s", "10s\n", "٣s", "1w", "10S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The message shows how durations look."""
    with pytest.raises(ValueError, match="must be a duration such as"):
        parse_duration(text)


@given(durations.filter(lambda value: value < timedelta(hours=99_999) or value % timedelta(days=1) == timedelta()))
def test_a_duration_survives_the_round_trip(value: timedelta) -> None:
    """Written and read again, every duration in milliseconds is itself."""
    assert parse_duration(format_duration(value)) == value


def test_a_duration_is_rounded_to_milliseconds() -> None:
    """Half a millisecond and more counts as one."""
    assert format_duration(timedelta(microseconds=1_500)) == "2ms"
    assert format_duration(timedelta(microseconds=499)) == "0s"


def test_a_negative_duration_is_never_written() -> None:
    """It is a bug of the caller."""
    with pytest.raises(ValueError, match="never negative"):
        format_duration(-MILLISECOND)


@given(st.decimals(0, 999_999, places=6))
def test_a_decimal_survives_the_round_trip(value: Decimal) -> None:
    """Written and read again, every price is the same number with the same digits."""
    adapter = TypeAdapter(Annotated[Decimal, Amount("0", "999999", 6)])
    text = format_decimal(value)
    assert format_decimal(adapter.validate_python(text)) == text
    assert adapter.validate_json(adapter.dump_json(value)) == value


@pytest.mark.parametrize(
    "value", [0.1, 1, "-1", "1e3", "1.0000001", ".5", "5.", "NaN", "Infinity", "1_0", "٣", " 1", "1\n"]
)
def test_what_is_no_plain_decimal_is_refused(value: object) -> None:
    """Neither floats nor other notations are taken."""
    with pytest.raises(ValidationError, match="must be a decimal number in quotes"):
        TypeAdapter(Annotated[Decimal, Amount("0", "10", 6)]).validate_python(value)


@given(st.datetimes(datetime(2000, 1, 2), datetime(2999, 12, 30), timezones=st.timezones()))  # noqa: DTZ001  bounds without a zone
def test_a_time_survives_the_round_trip(value: datetime) -> None:
    """Written and read again, every time is itself to the second, in UTC."""
    whole = value.astimezone(UTC).replace(microsecond=0)
    assert parse_time(format_time(value)) == whole
    assert parse_time(value).tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    ["2027-02-20", "2027-02-20T00:00:00", "2027-02-30T00:00:00Z", "now", 0, datetime(2027, 1, 1)],  # noqa: DTZ001  on purpose
)
def test_a_time_needs_day_hour_and_zone(value: object) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(ValidationError, match="such as 2027-02-20T00:00:00Z"):
        TypeAdapter(Time).validate_python(value)


@pytest.mark.parametrize(
    ("value", "fine"),
    [(1, True), (3, True), (2.0, True), (0, False), (4, False), (1.5, False), (True, False), ("2", False)],
)
def test_a_whole_number_is_whole_and_in_range(value: object, fine: bool) -> None:
    """2.0 is whole, as it is to the API server; true and "2" are no numbers."""
    adapter = TypeAdapter(Annotated[int, Whole(1, 3)])
    if fine:
        assert adapter.validate_python(value) == value
        return
    with pytest.raises(ValidationError, match="must be a whole number from 1 to 3"):
        adapter.validate_python(value)


@given(durations)
def test_a_range_of_durations_includes_its_ends(value: timedelta) -> None:
    """Exactly what lies within is taken, from code as from JSON."""
    adapter = TypeAdapter(Annotated[timedelta, Within("1s", "90d")])
    if timedelta(seconds=1) <= value <= timedelta(days=90):
        assert adapter.validate_python(value) == value
        return
    with pytest.raises(ValidationError, match="from 1s to 90d"):
        adapter.validate_python(value)
