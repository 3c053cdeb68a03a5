"""Durations, decimals and times: strings outside, timedelta, Decimal and datetime inside. Pure.

Floats never occur: `0.1` is not a tenth. A day is 24 hours.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from turnout.api.schema import cel_string, words

_CLOCK = "([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?"
"""So few digits that the sum stays below 2^63 ns, CEL's limit. Matches "" too: that is refused by length."""
CLOCK_PATTERN = f"^{_CLOCK}$"
DAYS_PATTERN = f"^([0-9]{{1,4}}d|{_CLOCK})$"
"""Whole days, or the rest. Not both together: CEL knows no days, and taking a string apart breaks its cost budget."""
DURATION_LENGTH = 36
TIME_PATTERN = (
    r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""RFC 3339, years 2000 to 2999."""
TIME_WORDS = "must be a date and time with time zone, such as 2027-02-20T00:00:00Z"
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def parse_duration(text: str) -> timedelta:
    """`90s`, `1h30m`, `500ms`, or whole days: `90d` → timedelta. Units h, m, s, ms, each at most once, in this order.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)

    Raises ValueError with words for the user.
    """
    if not text or not re.fullmatch(DAYS_PATTERN, text):
        raise ValueError("must be a duration such as 500ms, 90s, 5m, 1h30m or 90d")
    return sum((int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([a-z]+)", text)), timedelta())


def format_duration(value: timedelta) -> str:
    """The shortest string that parse_duration reads back, rounded to milliseconds.

    >>> format_duration(timedelta(seconds=90))
    '1m30s'
    >>> format_duration(timedelta(hours=25))
    '25h'

    Raises ValueError for a negative value.
    """
    left = (value + timedelta(microseconds=500)) // _UNITS["ms"]
    if left < 0:
        raise ValueError("a duration is never negative")
    days, within_day = divmod(left, _UNITS["d"] // _UNITS["ms"])
    if days and not within_day:
        return f"{days}d"
    parts = []
    for name in ("h", "m", "s", "ms"):
        count, left = divmod(left, _UNITS[name] // _UNITS["ms"])
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


@dataclass(frozen=True)
class Within:
    """The range of a duration, both ends included; written as a duration."""

    least: str
    most: str

    @property
    def words(self) -> str:
        """What a value must be, for the user."""
        days = min("90d", self.most, key=parse_duration)
        examples = f"90s, 1h30m or {days}" if self._days else "500ms, 90s or 1m30s"
        return f"must be a duration from {self.least} to {self.most}, such as {examples}"

    @property
    def pattern(self) -> str:
        """Only a range that reaches a day knows days."""
        return DAYS_PATTERN if self._days else CLOCK_PATTERN

    @property
    def _days(self) -> bool:
        return parse_duration(self.most) >= _UNITS["d"]

    def parse(self, value: Any) -> timedelta:
        """From JSON (a string) or from code (a timedelta). Raises PydanticCustomError with `words`."""
        try:
            parsed = value if isinstance(value, timedelta) else parse_duration(value)
        except (TypeError, ValueError):
            raise words(self.words) from None
        if not parse_duration(self.least) <= parsed <= parse_duration(self.most):
            raise words(self.words)
        return parsed

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        serialization = core_schema.plain_serializer_function_ser_schema(format_duration, when_used="json")
        return core_schema.no_info_plain_validator_function(self.parse, serialization=serialization)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        rule = f"size(self) > 0 && self.matches({cel_string(self.pattern)}) && {self._cel_range()}"
        return {
            "type": "string",
            "maxLength": DURATION_LENGTH,
            "pattern": self.pattern,
            "x-kubernetes-validations": [{"rule": rule, "message": self.words}],
        }

    def _cel_range(self) -> str:
        if not self._days:
            return f"duration(self) >= duration('{self.least}') && duration(self) <= duration('{self.most}')"
        # CEL knows no days: those of the value are read as hours, and held to the range in days with each day an hour.
        least, most = (parse_duration(bound) for bound in (self.least, self.most))
        first, last = -(-least // _UNITS["d"]), most // _UNITS["d"]
        days, clock = "duration(self.replace('d', 'h'))", "duration(self)"
        return (
            f"(self.endsWith('d') ? {days} >= duration('{first}h') && {days} <= duration('{last}h')"
            f" : {clock} >= duration('{self.least}') && {clock} <= duration('{most // _UNITS['h']}h'))"
        )


def cel_seconds(expression: str) -> str:
    """CEL for the whole seconds of a duration string. CEL knows no days: they are read as hours and multiplied."""
    hours = f"duration({expression}.replace('d', 'h')).getHours()"
    return f"({expression}.endsWith('d') ? {hours} * 86400 : duration({expression}).getSeconds())"


@dataclass(frozen=True)
class Amount:
    """A decimal number in a string: its range, both ends included, and its digits after the point."""

    least: str
    most: str
    places: int

    @property
    def pattern(self) -> str:
        """Plain notation: no exponent, and a sign only where the range needs one."""
        return rf"^{'-?' * self._signed}[0-9]{{1,12}}(\.[0-9]{{1,{self.places}}})?$"

    @property
    def words(self) -> str:
        """What a value must be, for the user."""
        return (
            f'must be a decimal number in quotes, such as "0.25", from {self.least} to {self.most} '
            f"with at most {self.places} digits after the point"
        )

    @property
    def _signed(self) -> bool:
        return self.least.startswith("-")

    def parse(self, value: Any) -> Decimal:
        """From JSON (a string) or from code (a Decimal). Raises PydanticCustomError with `words`."""
        text = format(value, "f") if isinstance(value, Decimal) else value
        if not isinstance(text, str) or not re.fullmatch(self.pattern, text):
            raise words(self.words)
        parsed = Decimal(text)
        if not Decimal(self.least) <= parsed <= Decimal(self.most):
            raise words(self.words)
        return parsed

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        serialization = core_schema.plain_serializer_function_ser_schema(format_decimal, when_used="json")
        return core_schema.no_info_plain_validator_function(self.parse, serialization=serialization)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        least = "" if self.least == "0" else f" && double(self) >= double('{self.least}')"
        rule = f"self.matches({cel_string(self.pattern)}){least} && double(self) <= double('{self.most}')"
        return {
            "type": "string",
            "maxLength": 13 + self.places + self._signed,
            "pattern": self.pattern,
            "x-kubernetes-validations": [{"rule": rule, "message": self.words}],
        }


def format_decimal(value: Decimal) -> str:
    """Plain notation, digits as they are.

    >>> format_decimal(Decimal("1E-6"))
    '0.000001'
    """
    return format(value, "f")


@dataclass(frozen=True)
class Whole:
    """The range of a whole number, both ends included. `2.0` is whole, as it is to the API server."""

    least: int
    most: int

    def parse(self, value: Any) -> int:
        """The number. Raises PydanticCustomError with words for the user."""
        number = isinstance(value, int) and not isinstance(value, bool)
        if not (number or (isinstance(value, float) and value.is_integer())) or not self.least <= value <= self.most:
            raise words(f"must be a whole number from {self.least} to {self.most}, without quotes")
        return int(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


def parse_time(value: Any) -> datetime:
    """RFC 3339 text, or an aware datetime from code → aware UTC. Raises PydanticCustomError with words for the user."""
    try:
        if isinstance(value, str) and re.fullmatch(TIME_PATTERN, value.upper()):
            value = datetime.fromisoformat(value.upper())
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
    except ValueError:
        pass  # such as 31 February
    raise words(TIME_WORDS)


def format_time(value: datetime) -> str:
    """As Kubernetes writes times: UTC, whole seconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _TimeText:
    """Pydantic's side of Time."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        serialization = core_schema.plain_serializer_function_ser_schema(format_time, when_used="json")
        return core_schema.no_info_plain_validator_function(parse_time, serialization=serialization)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        rule = "self >= timestamp('2000-01-01T00:00:00Z') && self < timestamp('3000-01-01T00:00:00Z')"
        return {
            "type": "string",
            "format": "date-time",
            "maxLength": 40,
            "pattern": TIME_PATTERN,
            "x-kubernetes-validations": [{"rule": rule, "message": TIME_WORDS}],
        }


Time = Annotated[datetime, _TimeText()]
"""A moment, aware, in UTC."""
Duration = Annotated[timedelta, Within("0s", "3650d")]
"""Any duration that a status may hold."""
Measure = Annotated[Decimal, Amount("0", "999999999999", 30)]
"""Any number that a status may hold: rates, shares, cost. 30 digits after the point take any quotient of Decimals,
so that a status is never refused for its digits."""
Bound = Annotated[Decimal, Amount("-1", "999999999999", 30)]
"""A bound of a ratio, or of a difference of shares."""
