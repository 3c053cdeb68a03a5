"""Documents → objects by kind, Secrets with their variables filled in, and what is wrong with them. Pure.

Fed by directory; the environment comes in as an argument.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from turnout.api import API_VERSION, GROUP
from turnout.api.problems import KINDS, problems
from turnout.local.documents import Document, Mistake

DEFAULT_NAMESPACE = "default"

UNSET = b"unset"
"""In place of a value whose variable is not set, so that references can be checked; compiling leaves such Secrets out.
"""

_VARIABLE = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""${NAME}, and $${NAME} for one that shall stay as it is."""


@dataclass(frozen=True)
class Manifest:
    """One object of ours, or one Secret.

    Attributes:
        namespace: as written; empty if it names none.
        valid: whether the API server would take it.
        data: of a Secret, decoded.
        complete: of a Secret, whether every variable in it is set.
    """

    kind: str
    name: str
    namespace: str
    document: Document
    valid: bool = True
    data: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    complete: bool = True

    @property
    def spec(self) -> Any:
        """As written."""
        return self.document.value.get("spec")


@dataclass
class Manifests:
    """What files say.

    Attributes:
        notes: what is no mistake, but worth knowing.
        unset: Secret values that name variables which the environment does not have; UNSET stands in their place.
        lost: documents that could not be told apart from what they were before, so that they must not replace it.
    """

    manifests: list[Manifest] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[Mistake] = field(default_factory=list)
    unset: list[Mistake] = field(default_factory=list)
    lost: int = 0

    @property
    def namespaces(self) -> list[str]:
        """The namespaces that are named, sorted."""
        return sorted({m.namespace for m in self.manifests if m.namespace})

    def within(self, namespace: str, *, alone: bool) -> list[Manifest]:
        """Manifests of a namespace; alone: also those that name none."""
        return [m for m in self.manifests if m.namespace == namespace or (alone and not m.namespace)]


def classify(documents: Iterable[Document], environment: Mapping[str, str]) -> Manifests:
    """Sort documents by what they are. Never raises; variables that are not set are in `unset`, not in `mistakes`."""
    found = Manifests()
    for document in documents:
        for entry in _entries(document, found):
            manifest = _manifest(entry, environment, found)
            if manifest is not None:
                found.manifests.append(manifest)
    return found


def without_duplicates(found: Manifests) -> Manifests:
    """Only the first of objects that have kind, namespace and name in common; each further one is a mistake."""
    first: dict[tuple[str, str, str], Document] = {}
    kept, mistakes = [], list(found.mistakes)
    for manifest in found.manifests:
        key = (manifest.kind, manifest.namespace, manifest.name)
        other = first.setdefault(key, manifest.document)
        if other is manifest.document:
            kept.append(manifest)
        else:
            reason = f"{manifest.kind} '{manifest.name}' stands also in {other.file}:{other.line}"
            mistakes.append(manifest.document.mistake("metadata.name", reason))
    return Manifests(kept, mistakes, found.notes, found.unset, found.lost)


def _lose(found: Manifests, mistake: Mistake) -> None:
    found.mistakes.append(mistake)
    found.lost += 1


def _entries(document: Document, found: Manifests) -> Iterator[Document]:
    """The document, or the entries of a List."""
    value = document.value
    if not isinstance(value, Mapping):
        _lose(found, document.mistake("", "must be an object with apiVersion, kind and metadata"))
    elif value.get("kind") == "List" and isinstance(value.get("items"), list):
        for index, entry in enumerate(value["items"]):
            prefix = f"items[{index}]"
            lines = {p.removeprefix(f"{prefix}."): n for p, n in document.lines.items() if p.startswith(f"{prefix}.")}
            yield from _entries(Document(document.file, document.lines[prefix], entry, lines), found)
    else:
        yield document


def _manifest(document: Document, environment: Mapping[str, str], found: Manifests) -> Manifest | None:
    raw = document.value
    kind, group = raw.get("kind"), str(raw.get("apiVersion", "")).partition("/")[0]
    for name in ("apiVersion", "kind"):
        if not isinstance(raw.get(name), str):
            _lose(found, document.mistake(name, "is required"))
            return None
    if group == GROUP or kind in KINDS:
        return _resource(document, found)
    if (raw["apiVersion"], kind) == ("v1", "Secret"):
        return _secret(document, environment, found)
    found.notes.append(document.mistake("kind", f"{kind} is none of Turnout's kinds, and is left alone"))
    return None


def _resource(document: Document, found: Manifests) -> Manifest | None:
    raw = document.value
    if raw["kind"] not in KINDS:
        close = get_close_matches(raw["kind"], KINDS, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"must be one of {', '.join(KINDS)}"
        _lose(found, document.mistake("kind", f"there is no {raw['kind']} in {API_VERSION}; {hint}"))
        return None
    wrong = [document.mistake(p.path, p.reason) for p in problems(raw)]
    found.mistakes += wrong
    meta = raw.get("metadata")
    name = meta.get("name") if isinstance(meta, Mapping) else None
    if not isinstance(name, str) or any(one.field == "metadata.name" for one in wrong):
        found.lost += 1  # a wrong name must not become a path
        return None
    return Manifest(raw["kind"], name, _namespace(meta), document, valid=not wrong)


def _secret(document: Document, environment: Mapping[str, str], found: Manifests) -> Manifest | None:
    raw = document.value
    meta = raw.get("metadata")
    if not isinstance(meta, Mapping) or not isinstance(meta.get("name"), str):
        _lose(found, document.mistake("metadata.name", "is required"))
        return None
    data: dict[str, bytes] = {}
    wrong: list[Mistake] = []
    unset: list[Mistake] = []
    for where, decode in (("data", _from_base64), ("stringData", _from_text)):
        entries = raw.get(where) or {}
        if not isinstance(entries, Mapping):
            wrong.append(document.mistake(where, "must be an object with fields"))
            continue
        for key, value in entries.items():
            path = f"{where}.{key}"
            try:
                data[str(key)] = decode(value, environment)
            except _UnsetError as error:
                unset.append(document.mistake(path, str(error)))
                data[str(key)] = UNSET
            except ValueError as error:
                wrong.append(document.mistake(path, str(error)))
    found.mistakes += wrong
    found.unset += unset
    found.lost += bool(wrong)
    return Manifest("Secret", meta["name"], _namespace(meta), document, data=data, complete=not unset)


def _namespace(meta: Any) -> str:
    namespace = meta.get("namespace") if isinstance(meta, Mapping) else None
    return namespace if isinstance(namespace, str) else ""


class _UnsetError(ValueError):
    """A variable that the environment does not have."""


def _from_text(value: Any, environment: Mapping[str, str]) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")

    def fill(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return f"${{{name}}}"
        if not environment.get(name):
            state = "is empty" if name in environment else "is not set"
            raise _UnsetError(f"the environment variable {name} {state}")
        return environment[name]

    return _VARIABLE.sub(fill, value).encode()


def _from_base64(value: Any, _: Mapping[str, str]) -> bytes:
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (AttributeError, binascii.Error, ValueError):
        raise ValueError("must be base64; plain text goes under stringData") from None
