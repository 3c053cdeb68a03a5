"""A directory of manifests → Manifests and a Snapshot. Reads files; remembers the last good content of each.

As with `kubectl apply -f DIR`, its own .yaml, .yml and .json files count, and not those in folders below.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from turnout.api import CanaryRollout, ModelGroup, Resource, ScopedKey
from turnout.api.problems import KINDS, problems
from turnout.decide.issued import Issued
from turnout.decide.snapshot import Invalid, Snapshot
from turnout.errors import UsageError
from turnout.infra.labels import RESERVED, Json
from turnout.local.documents import Mistake, read
from turnout.local.manifests import DEFAULT_NAMESPACE, Manifest, Manifests, classify, without_duplicates

SUFFIXES = (".yaml", ".yml", ".json")

Metadata = Mapping[tuple[str, str], Json]
"""(kind, name) → what of metadata the API server would fill in."""


class Directory:
    """The manifests of one directory. environment: what ${NAME} in Secrets stands for."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = environment
        self._last_good: dict[str, Manifests] = {}

    def load(self) -> Manifests:
        """What the files say now. A file that cannot be read, or whose Secrets cannot, counts as it last could.

        Raises UsageError if the directory cannot be read.
        """
        everything = Manifests()
        names = set()
        for path in self.files():
            name = str(path)
            names.add(name)
            found = self._file(path)
            if not (found.lost or found.unset):
                self._last_good[name] = found
            content = self._last_good.get(name, found)
            everything.manifests += content.manifests
            everything.notes += content.notes
            everything.mistakes += found.mistakes
            everything.unset += found.unset
        self._last_good = {name: found for name, found in self._last_good.items() if name in names}
        return without_duplicates(everything)

    def files(self) -> list[Path]:
        """The files that count, sorted. Raises UsageError."""
        try:
            return sorted(p for p in self.folder.iterdir() if _counts(p))
        except FileNotFoundError:
            raise UsageError(f"{self.folder} does not exist") from None
        except NotADirectoryError:
            raise UsageError(f"{self.folder} is a file; name the directory that it is in") from None
        except OSError as error:
            raise UsageError(f"{self.folder} cannot be read: {error.strerror}") from None

    def fingerprint(self) -> tuple[object, ...]:
        """Something that differs once a file was changed, added or removed."""
        seen = []
        for path in self.files():
            try:
                stat = path.stat()
            except OSError:
                continue
            seen.append((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(seen)

    def _file(self, path: Path) -> Manifests:
        try:
            content = path.read_bytes()
        except OSError as error:
            return Manifests(mistakes=[Mistake(str(path), 1, "", f"cannot be read: {error.strerror}")], lost=1)
        documents = read(str(path), content)
        if isinstance(documents, Mistake):
            return Manifests(mistakes=[documents], lost=1)
        return classify(documents, self._environment)


def _counts(path: Path) -> bool:
    return path.suffix in SUFFIXES and not path.name.startswith(".") and path.is_file()


def choose_namespace(found: Manifests, wanted: str | None, folder: Path) -> str:
    """The one namespace to serve. Raises UsageError if the manifests name several and none was chosen."""
    if wanted is not None:
        return wanted
    names = found.namespaces
    if len(names) > 1:
        raise UsageError(f"{folder} holds the namespaces {', '.join(names)}; choose one with --namespace")
    return names[0] if names else DEFAULT_NAMESPACE


def snapshot(
    manifests: Iterable[Manifest],
    namespace: str,
    *,
    issued: Mapping[str, Issued],
    metadata: Metadata,
) -> Snapshot:
    """What decide looks at. manifests: those of the namespace."""
    chosen = list(manifests)
    resources = [_parsed(m, namespace, metadata) for m in chosen if m.kind in KINDS and m.valid]
    secrets = {m.name: m.data for m in chosen if m.kind == "Secret"}
    return Snapshot(
        namespace=namespace,
        groups=tuple(r for r in resources if isinstance(r, ModelGroup)),
        keys=tuple(r for r in resources if isinstance(r, ScopedKey)),
        rollouts=tuple(r for r in resources if isinstance(r, CanaryRollout)),
        secrets={name: data for name, data in secrets.items() if name not in RESERVED},
        issued=issued,
        invalid=tuple(Invalid(m.kind, m.name, _reason(m)) for m in chosen if m.kind in KINDS and not m.valid),
        foreign_secrets=frozenset(secrets) | RESERVED,
    )


def _parsed(manifest: Manifest, namespace: str, metadata: Metadata) -> Resource:
    raw = {key: value for key, value in manifest.document.value.items() if key != "status"}
    filled_in = metadata.get((manifest.kind, manifest.name), {"generation": 1})
    raw["metadata"] = {"name": manifest.name, "namespace": namespace, **filled_in}
    return _without_consumers(KINDS[manifest.kind].parse(raw))


def _without_consumers(resource: Resource) -> Resource:
    """A key as it is on one machine, where there are no workloads to restart."""
    if not isinstance(resource, ScopedKey) or resource.spec.rotation is None:
        return resource
    rotation = resource.spec.rotation.model_copy(update={"consumers": ()})
    return resource.model_copy(update={"spec": resource.spec.model_copy(update={"rotation": rotation})})


def _reason(manifest: Manifest) -> str:
    """Why the API server would refuse the object, in one sentence for its status."""
    first = problems(manifest.document.value)[0]
    return f"{first.path} {first.reason}.".lstrip()
