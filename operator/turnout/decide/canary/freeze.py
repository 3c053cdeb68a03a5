"""Spans of time in which a weight must not rise. Pure, but for the time zones that Python reads from the system."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from turnout.api.canaryrollout import DAYS, Freeze
from turnout.api.quantities import parse_time

MINUTE = timedelta(minutes=1)
MINUTES_A_WEEK = 7 * 24 * 60


def frozen_until(freezes: Iterable[Freeze], now: datetime) -> datetime | None:
    """When the weight may rise again, as far as the spans that hold now tell; None: now."""
    return max((end for freeze in freezes if (end := _end(freeze, now)) is not None), default=None)


def unknown_zone(freezes: Iterable[Freeze]) -> str | None:
    """The first time zone that does not exist; None: all do."""
    return next((freeze.time_zone for freeze in freezes if not _exists(freeze.time_zone)), None)


def _end(freeze: Freeze, now: datetime) -> datetime | None:
    if not freeze.start.startswith(DAYS):
        over = parse_time(freeze.end)
        return over if parse_time(freeze.start) <= now < over else None
    start, end = _minute_of_week(freeze.start), _minute_of_week(freeze.end)
    local = now.astimezone(ZoneInfo(freeze.time_zone))
    here = local.weekday() * 24 * 60 + local.hour * 60 + local.minute
    if (here - start) % MINUTES_A_WEEK >= (end - start) % MINUTES_A_WEEK:
        return None
    # Wall-clock arithmetic: across a change to summer time the hour that people wrote counts.
    wall = local.replace(second=0, microsecond=0) + ((end - here) % MINUTES_A_WEEK) * MINUTE
    return wall.astimezone(now.tzinfo)


def _minute_of_week(text: str) -> int:
    day, clock = text.split(" ")
    hours, minutes = clock.split(":")
    return DAYS.index(day) * 24 * 60 + int(hours) * 60 + int(minutes)


def _exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True
