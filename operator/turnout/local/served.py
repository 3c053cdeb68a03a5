"""What `turnout run DIR` serves, or would serve, for commands that look at a folder once."""

import os
from pathlib import Path

from turnout.infra.labels import Json
from turnout.local.directory import Directory, choose_namespace
from turnout.local.home import FOLDER, Home
from turnout.local.manifests import Manifest


class Served:
    """The manifests of one namespace of a folder, with the statuses that `turnout run` wrote last, if it did.

    Attributes:
        namespace: the one that was chosen.
    """

    def __init__(self, folder: Path, namespace: str | None) -> None:
        """namespace: None = the only one. Raises UsageError if there are several, or the folder cannot be read."""
        found = Directory(folder, os.environ).load()
        self.namespace = choose_namespace(found, namespace, folder)
        self._manifests = found.within(self.namespace, alone=len(found.namespaces) < 2)
        self._home = Home(folder / FOLDER)

    @property
    def is_running(self) -> bool:
        """Whether some `turnout run` serves the folder now."""
        return self._home.is_held

    def manifests(self, kind: str) -> list[Manifest]:
        """Those of a kind, by name."""
        return sorted((m for m in self._manifests if m.kind == kind), key=lambda m: m.name)

    def objects(self, kind: str) -> list[Json]:
        """The same as an API server would show them."""
        return [self._object(manifest) for manifest in self.manifests(kind)]

    def _object(self, manifest: Manifest) -> Json:
        last = self._home.object(manifest.kind, manifest.name)
        mine = last.get("metadata", {}).get("namespace") == self.namespace  # it may have served another one
        return {
            "metadata": {"name": manifest.name, "namespace": self.namespace},
            "spec": manifest.spec,
            "status": last.get("status", {}) if mine else {},
        }
