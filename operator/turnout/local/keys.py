"""`turnout keys` on a folder: keys as they stand there, and changes to the files that say them."""

from collections.abc import Mapping
from pathlib import Path

from turnout.errors import UsageError
from turnout.infra.labels import Json
from turnout.local import files
from turnout.local.editing import Path as Field
from turnout.local.editing import Value, Which, edited
from turnout.local.served import Served

KIND = "ScopedKey"


class FolderKeys:
    """The ScopedKeys of one namespace of a folder."""

    def __init__(self, folder: Path, namespace: str | None) -> None:
        """namespace: None = the only one. Raises UsageError if there are several, or the folder cannot be read."""
        self._served = Served(folder, namespace)

    def objects(self) -> list[Json]:
        """Each with the status that `turnout run` wrote last, if it did."""
        return self._served.objects(KIND)

    def change(self, name: str, fields: Mapping[Field, Value]) -> str:
        """Write fields of a key's spec into its file, and say so. Raises UsageError, and then nothing is changed."""
        manifest = next(m for m in self._served.manifests(KIND) if m.name == name)
        path, which = Path(manifest.document.file), Which(KIND, manifest.namespace, name)
        below = {("spec", *field): value for field, value in fields.items()}
        try:
            after = edited(path.name, path.read_bytes(), which, below)
            if after is None:
                words = ", ".join(f"{'.'.join(field)}: {value}" for field, value in below.items())
                raise UsageError(f"{path}: cannot be changed in place; write it yourself: {words}")
            files.replace(path, after)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error
        running = self._served.is_running
        taken = "`turnout run` takes it up now" if running else "it counts from the next `turnout run` on"
        return f"changed {path}; {taken}. Commit it."
