"""What is wrong with a manifest, in words. Pure; for `turnout check`, `turnout run` and the operator's conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from turnout.api.canaryrollout import CanaryRollout
from turnout.api.common import Resource
from turnout.api.modelgroup import ModelGroup
from turnout.api.schema import Part
from turnout.api.scopedkey import ScopedKey

KINDS: dict[str, type[Resource]] = {kind.__name__: kind for kind in (ModelGroup, ScopedKey, CanaryRollout)}


@dataclass(frozen=True)
class Problem:
    """One mistake. path is the field in JSON names, such as spec.models[0].price.input, "" for the whole object."""

    path: str
    reason: str
    """What the value must be or what to do; never the value itself."""


def problems(raw: Any) -> list[Problem]:
    """Every mistake in one manifest of a kind of ours, in the order of the fields; [] if the API server would take it.

    Never raises. `status` is not looked at: the API server drops what a manifest says there.
    """
    if not isinstance(raw, Mapping):
        return [Problem("", "must be an object with apiVersion, kind, metadata and spec")]
    kind = KINDS.get(str(raw.get("kind")))
    if kind is None:
        return [Problem("kind", f"must be one of {', '.join(KINDS)}")]
    try:
        kind.parse({name: value for name, value in raw.items() if name != "status"})
    except ValidationError as error:
        return problems_of(kind, error)
    return []


def problems_of(kind: type[Resource], error: ValidationError) -> list[Problem]:
    """The mistakes that parsing a `kind` ended with."""
    found = [_problem(kind, details) for details in error.errors(include_url=False, include_input=False)]
    # Pydantic also calls a list empty when none of its entries is good; the entries say it better.
    return [one for one in found if not any(other.path.startswith(f"{one.path}[") for other in found)]


def _problem(kind: type[Resource], details: ErrorDetails) -> Problem:
    context = details.get("ctx", {})
    path = json_path(details["loc"]) + context.get("field", "")
    return Problem(path.lstrip("."), _reason(kind, details, context))


def json_path(location: Sequence[str | int]) -> str:
    """Where a value is, as people write it.

    >>> json_path(("spec", "models", 0, "name"))
    'spec.models[0].name'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")


_WORDS = {
    "words": "{words}",
    "rule": "{words}",
    "missing": "is required",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "string_type": "must be text; put it in quotes",
    "string_too_long": "is too long: at most {max_length} characters",
    "bool_type": "must be true or false, without quotes",
    "too_short": "is empty: list at least one",
    "too_long": "must have at most {max_length} entries",
    "tuple_type": "must be a list",
    "model_type": "must be an object with fields",
    "mapping_type": "must be an object with fields",
    "dict_type": "must be an object with fields",
}
"""Pydantic's error types in words for the user; the braces are filled from the error's context."""


def _reason(kind: type[Resource], details: ErrorDetails, context: Mapping[str, Any]) -> str:
    if details["type"] == "extra_forbidden":
        return _unknown(kind, details["loc"])
    template = _WORDS.get(details["type"])
    expected = str(context.get("expected", "")).replace("'", '"')
    return template.format_map({**context, "expected": expected}) if template else details["msg"]


def _unknown(kind: type[Resource], location: Sequence[str | int]) -> str:
    """Words for a field that does not exist: the one that was meant, else those there are."""
    part = _part_at(kind, location[:-1])
    known = sorted(field.alias or name for name, field in part.model_fields.items()) if part else []
    close = get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f'unknown field; did you mean "{close[0]}"?'
    return f"unknown field; the fields here are {', '.join(known)}"


def _part_at(kind: type[Part], location: Sequence[str | int]) -> type[Part] | None:
    """The model of the object at a place."""
    part: type[Part] | None = kind
    for step in location:
        if isinstance(step, str) and part is not None:
            part = next(
                (_part_in(f.annotation) for name, f in part.model_fields.items() if step in (f.alias, name)), None
            )
    return part


def _part_in(annotation: Any) -> type[Part] | None:
    """The model inside `X`, `X | None`, `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((part for part in map(_part_in, get_args(annotation)) if part), None)
