"""Files written so that nobody reads half of one: into a new file beside it, then one rename. Readable by us only."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def write(path: Path, content: bytes) -> bool:
    """Make the file hold this; False if it did already."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return False
    private_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)  # 0600 from the start
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def replace(path: Path, content: bytes) -> None:
    """The same for a file of the user's: it keeps its mode, and a link to it stays one."""
    path = path.resolve()
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        shutil.copymode(path, temporary)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, which only we can look into. One that exists stays as is."""
    if not path.parent.is_dir():
        private_folder(path.parent)
    path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def prune(folder: Path, keep: set[str], suffix: str) -> None:
    """Delete the files with this ending whose names are not to be kept."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix == suffix and path.name not in keep:
                path.unlink(missing_ok=True)


def swap(folder: Path, version: str, content: Mapping[str, bytes]) -> None:
    """Publish files as the kubelet does: a new folder, then the link ..data is moved over, so all change in one moment.

    folder/NAME leads to folder/..data/NAME; what watches folder sees one rename.
    """
    private_folder(folder)
    new, link, temporary = folder / f"..{version[:16]}", folder / "..data", folder / "..data_tmp"
    if link.is_symlink() and link.resolve() == new.resolve() and new.is_dir():
        return
    if new.is_dir():
        shutil.rmtree(new)
    private_folder(new)
    for name, data in content.items():
        write(new / name, data)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(new.name)
    temporary.replace(link)
    for other in folder.iterdir():
        if other.name.startswith("..") and other.is_dir() and not other.is_symlink() and other != new:
            shutil.rmtree(other, ignore_errors=True)
