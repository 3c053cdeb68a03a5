"""A YAML or JSON file → documents that know the line of each of their fields, or what is wrong with it. Pure.

YAML is read as the API server reads it: a time stays text, a key may stand only once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

DEEPEST = 50
"""Levels of a document. Our limit; a ModelGroup has seven."""

LARGEST = 200_000
"""Fields of a document, those that aliases repeat counted each time. Our limit; a group of 16 models has about 300."""


@dataclass(frozen=True)
class Mistake:
    """One thing to mend. field is a path in JSON names; empty if it is about the whole document or file."""

    file: str
    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        """The line that people see, which editors and terminals make a link of."""
        return ": ".join(part for part in (f"{self.file}:{self.line}", self.field, self.reason) if part)


@dataclass(frozen=True)
class Document:
    """One document of a file.

    Attributes:
        line: of its first field.
        value: what it says; may contain secrets, so repr leaves it out.
        lines: path of each field, as api.problems writes paths → its line.
    """

    file: str
    line: int
    value: Any = field(repr=False)
    lines: Mapping[str, int] = field(repr=False)

    def mistake(self, path: str, reason: str) -> Mistake:
        """A mistake at a field, or at the nearest one around it that is there."""
        place = path
        while place and place not in self.lines:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return Mistake(self.file, self.lines.get(place, self.line), path, reason)


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is many times faster


class _Loader(_Base):  # type: ignore[misc]
    """A loader that leaves times alone, as the API server does: 2027-01-01 is text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's attribute)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


class _Spoilt(Exception):  # noqa: N818  (becomes a Mistake within this module)
    def __init__(self, line: int, field: str, reason: str) -> None:
        super().__init__(reason)
        self.line, self.field = line, field


def read(name: str, content: bytes) -> list[Document] | Mistake:
    """The documents of a file, empty ones left out; or the first thing that keeps it from being read.

    name: the file, as mistakes shall call it. Never raises.
    """
    if name.endswith(".json"):
        content = content.expandtabs()  # YAML takes JSON but for tabs, which stand in no JSON string
    try:
        return list(_documents(name, content))
    except _Spoilt as spoilt:
        return Mistake(name, spoilt.line, spoilt.field, str(spoilt))
    except yaml.MarkedYAMLError as error:
        return _syntax(name, content, error)
    except yaml.reader.ReaderError as error:
        line = content[: error.position].count(b"\n") + 1
        return Mistake(name, line, "", f"not text in UTF-8: {error.reason}")
    except RecursionError:
        return Mistake(name, 1, "", "nested too deeply")
    except ValueError:  # such as !!int on what is none; not quoted, it may be a secret
        return Mistake(name, 1, "", "not YAML: a value does not fit its tag")


def _documents(name: str, content: bytes) -> Iterator[Document]:
    _refuse_depth(content)
    loader = _Loader(content)
    try:
        while loader.check_node():
            node = loader.get_node()
            lines = dict(islice(_lines(node, "", []), LARGEST + 1))
            if len(lines) > LARGEST:
                raise _Spoilt(node.start_mark.line + 1, "", "too large")
            value = loader.construct_document(node)
            if value is not None:
                yield Document(name, node.start_mark.line + 1, value, lines)
    finally:
        loader.dispose()


def _refuse_depth(content: bytes) -> None:
    """Raises _Spoilt for a file whose nesting would overflow the stack of the loader in C, which does not look."""
    depth = 0
    for event in yaml.parse(content, Loader=_Loader):
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise _Spoilt(line, "", "nested too deeply")
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


def _lines(node: Node, path: str, above: list[int]) -> Iterator[tuple[str, int]]:
    """Path and line of every field under a node. above: the nodes that it is in. Raises _Spoilt."""
    if id(node) in above or len(above) > DEEPEST:
        raise _Spoilt(node.start_mark.line + 1, path, "nested too deeply")
    above = [*above, id(node)]
    if isinstance(node, SequenceNode):
        for index, entry in enumerate(node.value):
            yield f"{path}[{index}]", entry.start_mark.line + 1
            yield from _lines(entry, f"{path}[{index}]", above)
    if isinstance(node, MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line, word = key.start_mark.line + 1, str(key.value)
            here = f"{path}.{word}" if path else word
            if isinstance(key, ScalarNode) and word in seen and word != "<<":
                raise _Spoilt(line, here, f"stands here twice; first in line {seen[word]}")
            seen.setdefault(word, line)
            yield here, line
            yield from _lines(value, here, above)


def _syntax(name: str, content: bytes, error: yaml.MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    text = content.splitlines()[line : line + 1]
    if text and text[0].lstrip(b" ").startswith(b"\t"):
        return Mistake(name, line + 1, "", "not YAML: a tab; indent with spaces")
    words = ", ".join(part for part in (error.context, error.problem) if part)
    return Mistake(name, line + 1, "", f"not YAML: {words}")
