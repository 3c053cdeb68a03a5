"""Which fields of an object are accepted and do nothing yet. Pure; ends as the condition NotYetSupported."""

from turnout.api.common import Resource
from turnout.api.schema import NotYet, Part


def unsupported(obj: Resource) -> tuple[str, ...]:
    """JSON paths, sorted, of fields that the user set, that differ from their default, and that do nothing yet.

    What is left out is not set: the CRDs carry no server-side defaults, or this could not tell.
    """
    return tuple(sorted(_walk(obj, "")))


def _walk(part: Part, path: str) -> list[str]:
    found: list[str] = []
    for name in part.model_fields_set - {"status"}:
        field, value = type(part).model_fields[name], getattr(part, name)
        here = f"{path}.{field.alias}".lstrip(".")
        if any(isinstance(mark, NotYet) for mark in field.metadata):
            if field.is_required() or value != field.default:
                found.append(here)
        elif isinstance(value, Part):
            found += _walk(value, here)
        elif isinstance(value, tuple):
            for index, entry in enumerate(value):
                if isinstance(entry, Part):
                    found += _walk(entry, f"{here}[{index}]")
    return found
