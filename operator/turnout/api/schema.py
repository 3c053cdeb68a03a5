"""What every resource is made of: strict frozen models whose rules serve pydantic and the API server alike. Pure.

A check is written once, with its words: `Text` for one string, `Rule` for what spans fields. Pydantic runs the Python
side; the CRD generator (api.crds) writes the CEL side. tests/crds holds both to the same samples.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A condition over several fields of one object."""

    message: str
    """What to do about it, as the user reads it."""
    cel: str
    """The condition for the API server, `self` being the object."""
    holds: Callable[[Any], bool]
    """The same condition in Python; it gets the validated model."""
    field: str = ""
    """JSON name of the field to blame, with a leading dot; "" is the object itself."""


class Part(BaseModel):
    """A piece of a resource: frozen, unknown fields refused, camelCase outside and snake_case inside."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        arbitrary_types_allowed=False,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        for rule in self.rules:
            if not rule.holds(self):
                raise PydanticCustomError("rule", "{words}", {"words": rule.message, "field": rule.field})
        return self

    def to_json(self) -> dict[str, Any]:
        """The JSON form: camelCase names, durations, decimals and times as strings, what is None left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusPart(Part):
    """A piece of a status. Unknown fields are dropped: another version of the operator may have written them."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, kw_only=True)
class Text:
    """A string with a pattern, and the words that a person gets instead of the pattern."""

    pattern: str
    """Holds for Go's RE2 and Python alike; anchored at both ends."""
    words: str
    """What the value must be: "must be …"."""
    max_length: int
    refused_endings: Mapping[str, str] | None = None
    """Ending → what to do about it. For mistakes that the pattern cannot name."""

    def check(self, value: str) -> str:
        """The value itself. Raises PydanticCustomError (a ValueError) with `words`."""
        if len(value) > self.max_length:
            raise words(f"is too long: at most {self.max_length} characters")
        if not re.fullmatch(self.pattern, value):
            raise words(self.words)
        for ending, advice in (self.refused_endings or {}).items():
            if value.endswith(ending):
                raise words(advice)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        endings = [
            {"rule": f"!self.endsWith({cel_string(ending)})", "message": advice}
            for ending, advice in (self.refused_endings or {}).items()
        ]
        return {
            "type": "string",
            "maxLength": self.max_length,
            "pattern": self.pattern,
            "x-kubernetes-validations": [{"rule": matches(self.pattern), "message": self.words}, *endings],
        }


@dataclass(frozen=True)
class Unique:
    """A list without repetitions: of plain values, or of objects by these keys. Server-side apply merges it by them."""

    keys: tuple[str, ...] = ()
    """Python names, which must equal their JSON names."""

    def check(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        """The value itself. Raises PydanticCustomError naming the repeated entry."""
        seen = set()
        for entry in value:
            identity = tuple(str(getattr(entry, key)) for key in self.keys) if self.keys else (str(entry),)
            if identity in seen:
                raise words(f"has {'/'.join(identity)} twice; name each once")
            seen.add(identity)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if not self.keys:
            return {**handler(schema), "x-kubernetes-list-type": "set"}
        return {**handler(schema), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(self.keys)}


ATOMIC = {"x-kubernetes-list-type": "atomic"}
"""For lists that have one owner and are replaced whole."""


def words(message: str) -> PydanticCustomError:
    """A validation error that says exactly this; braces in it are not taken for a template."""
    return PydanticCustomError("words", "{words}", {"words": message})


def cel_string(text: str) -> str:
    """The text as a CEL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def matches(pattern: str) -> str:
    """The CEL rule that `self` matches the pattern."""
    return f"self.matches({cel_string(pattern)})"
