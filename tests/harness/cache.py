"""Folders that survive a run, keyed by what they are made from, so that nothing half made is ever used."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNUSED_S = 3 * 24 * 3600
"""Seconds after which a folder that nobody asked for may go. Not at once: another checkout may be running from it."""


def cache_dir() -> Path:
    """$TURNOUT_CACHE, else ~/.cache/turnout. Made if missing."""
    path = Path(os.environ.get("TURNOUT_CACHE") or Path.home() / ".cache" / "turnout").resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


def key_of(*parts: bytes | str) -> str:
    """16 hex digits that change with any part."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if missing). Waits; the kernel lets go when the holder dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def folder(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `name-key` in the cache, made by `make` on first use.

    `make` fills a temporary folder that is renamed when it is complete: a build cut in the middle leaves nothing that
    looks finished, and what it left is removed by the next one, with other keys of the name that nobody used for days.
    """
    base = cache_dir()
    done = base / f"{name}-{key}"
    if done.is_dir():
        os.utime(done)
        return done
    with locked(base / f"{name}.lock"):
        if done.is_dir():
            return done
        others = [o for o in base.glob(f"{name}-{'[0-9a-f]' * 16}") if time.time() - o.stat().st_mtime > UNUSED_S]
        for stale in [*base.glob(f"{name}.part-*"), *others]:
            shutil.rmtree(stale, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}.part-", dir=base))
        try:
            part.chmod(0o755)
            make(part)
            part.rename(done)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return done
