"""A file with manifests → the same file with some fields of one object changed, and not a byte else. Pure."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from turnout.local.documents import read

Path = tuple[str, ...]
Value = str | bool


class Which(NamedTuple):
    """One object of a file. namespace: as it is written there; empty if it names none."""

    kind: str
    namespace: str
    name: str


def edited(name: str, content: bytes, which: Which, fields: Mapping[Path, Value]) -> bytes | None:
    """The file with these fields of an object so; None if that cannot be done in place, as with an alias, or a List.

    name: of the file, by which JSON is told from YAML; fields: path below the object → its value.
    """
    wanted = _values(name, content)
    try:
        text = content.decode()
    except UnicodeDecodeError:  # YAML may be UTF-16, too
        return None
    if wanted is None:
        return None
    for path, value in fields.items():
        changed = _with(text, which, path, value)
        if changed is None:
            return None
        text = changed
    for found in wanted:
        if _is(found, which):
            for path, value in fields.items():
                _set(found, path, value)
    after = text.encode()
    return after if wanted == _values(name, after) else None


def _with(text: str, which: Which, path: Path, value: Value) -> str | None:
    node: Node | None = next((n for n in yaml.compose_all(text, Loader=yaml.SafeLoader) if _names(n, which)), None)
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
    line_end = "\r\n" if "\r\n" in text else "\n"
    between = ", " if mapping.flow_style else line_end + " " * first.start_mark.column
    return text[:at] + entry + between + text[at:]


def _child(node: MappingNode, word: str) -> Node | None:
    return next((value for key, value in node.value if key.value == word), None)


def _names(node: Node, which: Which) -> bool:
    if not isinstance(node, MappingNode):
        return False
    meta = _child(node, "metadata")
    if not isinstance(meta, MappingNode):
        return False
    found = (_child(node, "kind"), _child(meta, "namespace"), _child(meta, "name"))
    return tuple(child.value if child else "" for child in found) == which


def _values(name: str, content: bytes) -> list[Any] | None:
    found = read(name, content)
    # Written out, so that what an alias shares is seen to change in two places.
    return [json.loads(json.dumps(d.value, default=str)) for d in found] if isinstance(found, list) else None


def _is(value: Any, which: Which) -> bool:
    meta = value.get("metadata") if isinstance(value, dict) else None
    return isinstance(meta, dict) and (value.get("kind"), meta.get("namespace") or "", meta.get("name")) == which


def _set(value: dict[str, Any], path: Path, new: Value) -> None:
    for word in path[:-1]:
        value = value.setdefault(word, {})
    value[path[-1]] = new
