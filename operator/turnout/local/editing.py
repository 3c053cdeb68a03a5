"""A file with manifests → the same file with some fields of one object changed, and not a byte else. Pure."""

import json
from collections.abc import Mapping
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from turnout.local.documents import read

Path = tuple[str, ...]
Value = str | bool


def edited(name: str, text: str, kind: str, object_name: str, fields: Mapping[Path, Value]) -> str | None:
    """The file with these fields so; None if that cannot be done in place, as with an alias, or a List of objects.

    name: of the file, by which JSON is told from YAML; fields: path below the object → its value.
    """
    after, wanted = text, _values(name, text)
    if wanted is None:
        return None
    for path, value in fields.items():
        changed = _with(after, kind, object_name, path, value)
        if changed is None:
            return None
        after = changed
    for value in wanted:
        if _is(value, kind, object_name):
            for path, new in fields.items():
                _set(value, path, new)
    return after if wanted == _values(name, after) else None


def _with(text: str, kind: str, name: str, path: Path, value: Value) -> str | None:
    node: Node | None = next((n for n in yaml.compose_all(text, Loader=yaml.SafeLoader) if _names(n, kind, name)), None)
    for depth, word in enumerate(path):
        if not isinstance(node, MappingNode):
            return None
        child = _child(node, word)
        if child is None:
            return _inserted(text, node, path[depth:], value)
        node = child
    if not isinstance(node, ScalarNode):
        return None
    return text[: node.start_mark.index] + json.dumps(value) + text[node.end_mark.index :]


def _inserted(text: str, mapping: MappingNode, path: Path, value: Value) -> str | None:
    """With a new first entry: that place is certain, whatever comments stand at the end."""
    if not mapping.value:
        return None
    first = mapping.value[0][0]
    quote = '"' if first.style == '"' else ""
    entry = json.dumps(value)
    for word in reversed(path[1:]):
        entry = f"{{{quote}{word}{quote}: {entry}}}"
    at, entry = first.start_mark.index, f"{quote}{path[0]}{quote}: {entry}"
    between = ", " if mapping.flow_style else "\n" + " " * first.start_mark.column
    return text[:at] + entry + between + text[at:]


def _child(node: MappingNode, word: str) -> Node | None:
    return next((value for key, value in node.value if key.value == word), None)


def _names(node: Node, kind: str, name: str) -> bool:
    if not isinstance(node, MappingNode):
        return False
    meta, found = _child(node, "metadata"), _child(node, "kind")
    named = _child(meta, "name") if isinstance(meta, MappingNode) else None
    return bool(found and named and (found.value, named.value) == (kind, name))


def _values(name: str, text: str) -> list[Any] | None:
    found = read(name, text.encode())
    # Written out, so that what an alias shares is seen to change in two places.
    return [json.loads(json.dumps(d.value, default=str)) for d in found] if isinstance(found, list) else None


def _is(value: Any, kind: str, name: str) -> bool:
    return isinstance(value, dict) and (value.get("kind"), (value.get("metadata") or {}).get("name")) == (kind, name)


def _set(value: dict[str, Any], path: Path, new: Value) -> None:
    for word in path[:-1]:
        value = value.setdefault(word, {})
    value[path[-1]] = new
