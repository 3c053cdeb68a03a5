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

DURATION_PATTERN = r"^([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$"
"""So many digits that the sum stays below 2^63 ns, CEL's limit; "" also matches and is refused by length."""
DURATION_LENGTH = 40
TIME_PATTERN = (
    r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""RFC 3339, years 2000 to 2999."""
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def parse_duration(text: str) -> timedelta:
    """`90s`, `1h30m`, `90d`, `500ms` → timedelta. Units d, h, m, s, ms, each at most once and in this order.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)

    Raises ValueError with words for the user.
    """
    if not text or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError("must be a duration such as 500ms, 90s, 5m, 1h30m or 90d")
    return sum((int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([a-z]+)", text)), timedelta())


def format_duration(value: timedelta) -> str:
    """The shortest string that parse_duration reads back, rounded to milliseconds.

    >>> format_duration(timedelta(seconds=90))
    '1m30s'

    Raises ValueError for a negative value.
    """
    left = (value + timedelta(microseconds=500)) // _UNITS["ms"]
    if left < 0:
        raise ValueError("a duration is never negative")
    parts = []
    for name, unit in _UNITS.items():
        count, left = divmod(left, unit // _UNITS["ms"])
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
        return f"must be a duration from {self.least} to {self.most}, such as 500ms, 90s, 5m, 1h30m or 90d"

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
        in_range = " && ".join(
            (
                f"size(self) > 0 && self.matches({cel_string(DURATION_PATTERN)})",
                f"{cel_duration('self')} >= {cel_constant(self.least)}",
                f"{cel_duration('self')} <= {cel_constant(self.most)}",
            )
        )
        return {
            "type": "string",
            "maxLength": DURATION_LENGTH,
            "pattern": DURATION_PATTERN,
            "x-kubernetes-validations": [{"rule": in_range, "message": self.words}],
        }


def cel_duration(expression: str) -> str:
    """CEL that turns a duration string into a duration. CEL knows no days: `90d12h` is read as `2160h12h`."""
    days = f"{expression}.split('d')"
    with_days = f"duration(string(int({days}[0]) * 24) + 'h' + {days}[1])"
    return f"({expression}.contains('d') ? {with_days} : duration({expression}))"


def cel_constant(text: str) -> str:
    """A duration string as a CEL constant."""
    return f"duration('{parse_duration(text) // timedelta(milliseconds=1)}ms')"


@dataclass(frozen=True)
class Amount:
    """A decimal number in a string: its range, both ends included, and its digits after the point."""

    least: str
    most: str
    places: int

    @property
    def pattern(self) -> str:
        """Plain notation: no sign, no exponent."""
        return rf"^[0-9]{{1,12}}(\.[0-9]{{1,{self.places}}})?$"

    @property
    def words(self) -> str:
        """What a value must be, for the user."""
        return (
            f'must be a decimal number in quotes, such as "0.25", from {self.least} to {self.most} '
            f"with at most {self.places} digits after the point"
        )

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
        in_range = " && ".join(
            (
                f"self.matches({cel_string(self.pattern)})",
                f"double(self) >= double('{self.least}')",
                f"double(self) <= double('{self.most}')",
            )
        )
        return {
            "type": "string",
            "maxLength": 13 + self.places,
            "pattern": self.pattern,
            "x-kubernetes-validations": [{"rule": in_range, "message": self.words}],
        }


def format_decimal(value: Decimal) -> str:
    """Plain notation, digits as they are.

    >>> format_decimal(Decimal("1E-6"))
    '0.000001'
    """
    return format(value, "f")


def parse_time(value: Any) -> datetime:
    """RFC 3339 text, or an aware datetime from code → aware UTC. Raises PydanticCustomError with words for the user."""
    try:
        if isinstance(value, str) and re.fullmatch(TIME_PATTERN, value):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
    except ValueError:
        pass  # such as 31 February
    raise words("must be a date and time with time zone, such as 2027-02-20T00:00:00Z")


def format_time(value: datetime) -> str:
    """As Kubernetes writes times: UTC, whole seconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _TimeText:
    """Pydantic's side of Time."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        serialization = core_schema.plain_serializer_function_ser_schema(format_time, when_used="json")
        return core_schema.no_info_plain_validator_function(parse_time, serialization=serialization)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "maxLength": 40, "pattern": TIME_PATTERN}


Time = Annotated[datetime, _TimeText()]
"""A moment, aware, in UTC."""
Duration = Annotated[timedelta, Within("0s", "3650d")]
"""Any duration that a status may hold."""
Measure = Annotated[Decimal, Amount("0", "999999999999", 12)]
"""Any number that a status may hold: rates, shares, cost."""
