"""DIR/.turnout: what the operator would keep in the cluster, as files that only their owner can read.

`turnout run --speed` has DIR/.turnout-speed in its place. It holds:
    keys/NAME.env           OPENAI_API_KEY=… and OPENAI_BASE_URL=…, for each ScopedKey that is alive
    secrets/NAME.yaml       the same as the Secret that the operator would write
    status/KINDS/NAME.yaml  each object with its status, as `kubectl get -o yaml` shows it
    keyring.json            issued tokens: the operator's Secret turnout-keyring
    usage                   what keys have used: its ConfigMap turnout-usage
    state                   the last good configuration: its Secret turnout-state
    bootstrap.json, turnout.wasm, xds/   what Envoy reads; envoy.log: what it says; access.log: of requests, if asked
    .made-by-turnout        without it, a folder that is not empty is somebody else's, and is left alone
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from turnout.api import API_VERSION
from turnout.api.quantities import format_time, parse_time
from turnout.apply import keyring
from turnout.decide.ir import Router, dump, load
from turnout.decide.issued import Issued
from turnout.decide.keys import KeyState
from turnout.decide.usage import Ledger
from turnout.errors import BrokenStateError, UsageError
from turnout.infra import ledger
from turnout.infra.consumer import TOKEN
from turnout.infra.kinds import RESOURCES
from turnout.infra.labels import Json
from turnout.infra.objects import secret
from turnout.local import files
from turnout.module import filter_module

FOLDER = ".turnout"
FAST_FOLDER = ".turnout-speed"
"""That of `turnout run --speed`: no real run may go on with what was made up."""
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""Those in C: a thousand keys have a thousand statuses."""
MARKER = ".made-by-turnout"
PLURALS = {kind.name: kind.plural for kind in RESOURCES}


class Home:
    """One DIR/.turnout, or the folder that `turnout compile` writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._objects: dict[tuple[str, str], Json] = {}

    def claim(self) -> None:
        """Make the folder, unless it is there and ours: things in it will be overwritten and deleted.

        Raises UsageError if it is not ours, OSError if it cannot be made.
        """
        if self.path.is_symlink():
            raise UsageError(f"{self.path} is a symbolic link; it must be a folder")
        files.private_folder(self.path)
        entries = list(self.path.iterdir())
        if entries and not (self.path / MARKER).is_file():
            raise UsageError(f"{self.path} holds files that are not Turnout's; it must be new or empty")
        if link := next((path for path in (*entries, *self.path.glob("status/*")) if path.is_symlink()), None):
            raise UsageError(f"{link} is a symbolic link, which is not Turnout's")
        if self.path.stat().st_mode & 0o022:
            raise UsageError(f"others can write to {self.path}; take that right away: chmod go-w")
        files.write(self.path / MARKER, b"Turnout made this folder; it overwrites and deletes what is in it.\n")

    def acquire(self) -> None:
        """Make the folder and take it for this process. Raises UsageError if another has it, or it cannot be made."""
        try:
            self.claim()
            files.write(self.path / ".gitignore", b"*\n")
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE_FILE)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 20).decode(errors="replace").strip()
            self.release()
            raise UsageError(f"{self.path} is held by another `turnout run`, process {holder or '?'}") from None
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @property
    def is_held(self) -> bool:
        """Whether some `turnout run` has it now."""
        try:
            with (self.path / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def release(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def save_filter(self) -> Path:
        """Copy the filter module here: what a running Envoy reads must not change or go when Turnout is upgraded."""
        path = self.path.resolve() / "turnout.wasm"
        files.write(path, filter_module())
        return path

    def issued(self) -> dict[str, Issued]:
        """What was issued. Raises UsageError if the file is not what was written."""
        path = self.path / "keyring.json"
        try:
            return keyring.read(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return {}
        except (BrokenStateError, ValueError, AttributeError, TypeError, OSError):
            raise UsageError(f"{path} cannot be read; move it away, and new keys are issued") from None

    def save_issued(self, namespace: str, issued: keyring.Keyring) -> None:
        """Keep what was issued."""
        document = keyring.keyring_secret(namespace, issued)
        files.write(self.path / "keyring.json", json.dumps(document, indent=1).encode())

    def ledger(self) -> Ledger:
        """What keys have used. Nothing, if the file is not what was written."""
        try:
            return ledger.load((self.path / "usage").read_bytes())
        except (OSError, ValueError):
            return Ledger()

    def save_ledger(self, book: Ledger) -> None:
        """Keep what keys have used."""
        files.write(self.path / "usage", ledger.dump(book))

    def last_good(self, namespace: str) -> Router | None:
        """The configuration that was last published, if it was for this namespace and this version can read it."""
        with contextlib.suppress(OSError, ValueError):
            router = load((self.path / "state").read_bytes())
            return router if router.namespace == namespace else None
        return None

    def save_last_good(self, router: Router) -> None:
        """Keep the configuration that is published."""
        files.write(self.path / "state", dump(router))

    def hand_out(self, namespace: str, keys: Iterable[KeyState], url: str) -> None:
        """Write the keys for those who use them, and delete what belongs to keys that are dead or gone."""
        envs, secrets = set(), set()
        for key in keys:
            if key.token is None:
                continue
            values = {TOKEN: key.token.token.get_secret_value(), "OPENAI_BASE_URL": url}
            text = "".join(f"{name}={value}\n" for name, value in values.items())
            document = secret(namespace, key.secret_name, {n: v.encode() for n, v in values.items()})
            files.write(self.path / "keys" / f"{key.name}.env", text.encode())
            envs.add(f"{key.name}.env")
            if key.secret_name not in key.conflicts:
                files.write(self.path / "secrets" / f"{key.secret_name}.yaml", _yaml(document))
                secrets.add(f"{key.secret_name}.yaml")
        files.prune(self.path / "keys", envs, ".env")
        files.prune(self.path / "secrets", secrets, ".yaml")

    def object(self, kind: str, name: str) -> Json:
        """The object as it was last written with its status; {} if it was not. Nobody else writes while we hold it."""
        if (kind, name) not in self._objects:
            self._objects[kind, name] = {}
            with contextlib.suppress(OSError, yaml.YAMLError):
                found = yaml.load(self._status_file(kind, name).read_bytes(), LOADER)  # noqa: S506  (a safe one)
                if isinstance(found, dict) and isinstance(found.get("metadata"), dict):
                    self._objects[kind, name] = found
        return self._objects[kind, name]

    def metadata(self, kind: str, name: str, spec: Any, *, now: datetime) -> Json:
        """What the API server would fill in: a generation, one more for each change of the spec, and since when the
        object exists. now: aware, for one that is new.
        """
        known = self.object(kind, name)
        before = known.get("metadata", {})
        generation, created = before.get("generation"), now
        with contextlib.suppress(ValueError):
            created = parse_time(before.get("creationTimestamp"))
        count = generation + (known.get("spec") != spec) if isinstance(generation, int) else 1
        return {"generation": count, "creationTimestamp": format_time(created)}

    def save_object(self, kind: str, name: str, meta: Mapping[str, Any], spec: Any, status: Mapping[str, Any]) -> None:
        """Write an object with its status."""
        document = {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec, "status": status}
        plain = json.loads(json.dumps(document))  # enums become text, and nothing is shared, which YAML would show
        path = self._status_file(kind, name)
        if plain != self.object(kind, name) or not path.exists():
            files.write(path, _yaml(plain))
            self._objects[kind, name] = plain

    def prune_objects(self, names: Iterable[tuple[str, str]]) -> None:
        """Delete what belongs to objects that are gone. names: (kind, name) of those that are not."""
        alive = set(names)
        for kind in PLURALS:
            keep = {f"{name}.yaml" for k, name in alive if k == kind}
            files.prune(self.path / "status" / PLURALS[kind], keep, ".yaml")
        self._objects = {key: known for key, known in self._objects.items() if key in alive}

    def _status_file(self, kind: str, name: str) -> Path:
        return self.path / "status" / PLURALS[kind] / f"{name}.yaml"


def _yaml(document: Json) -> bytes:
    text: str = yaml.dump(document, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()
