"""`turnout keys` on a folder: keys as they stand there, and changes to the files that say them."""

import os
from collections.abc import Mapping
from pathlib import Path

from turnout.errors import UsageError
from turnout.infra.labels import Json
from turnout.local import files
from turnout.local.directory import Directory
from turnout.local.editing import Path as Field
from turnout.local.editing import Value, edited
from turnout.local.home import FOLDER, Home
from turnout.local.manifests import Manifest

KIND = "ScopedKey"


class FolderKeys:
    """The ScopedKeys of one folder."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError if the folder cannot be read."""
        self._manifests = [m for m in Directory(folder, os.environ).load().manifests if m.kind == KIND]
        self._home = Home(folder / FOLDER)

    def objects(self) -> list[Json]:
        """Each with the status that `turnout run` wrote last, if it did."""
        return [self._object(manifest) for manifest in sorted(self._manifests, key=lambda m: m.name)]

    def change(self, name: str, fields: Mapping[Field, Value]) -> str:
        """Write fields of a key's spec into its file, and say so. Raises UsageError, and then nothing is changed."""
        path = Path(next(m.document.file for m in self._manifests if m.name == name))
        below = {("spec", *field): value for field, value in fields.items()}
        try:
            after = edited(path.name, path.read_text(), KIND, name, below)
            if after is None:
                words = ", ".join(f"{'.'.join(field)}: {value}" for field, value in below.items())
                raise UsageError(f"{path}: cannot be changed in place; write it yourself: {words}")
            files.replace(path, after.encode())
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error
        taken = "`turnout run` takes it up now" if self._home.is_held else "it counts from the next `turnout run` on"
        return f"changed {path}; {taken}. Commit it."

    def _object(self, manifest: Manifest) -> Json:
        status = self._home.object(KIND, manifest.name).get("status", {})
        return {"metadata": {"name": manifest.name}, "spec": manifest.spec, "status": status}
