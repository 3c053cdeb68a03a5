"""Start and end of a whole cluster, and the removal of what a killed run left."""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import binaries, images
from harness.cache import cache_dir
from harness.control_plane import ControlPlane
from harness.namespace import Namespace, available
from harness.node import ISOLATE, Node, remove_cgroups
from harness.packages import HarnessError, require_debian_packages

__all__ = ["HarnessError", "control_plane", "node"]


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """An API server for the length of the context. Raises HarnessError if this machine cannot run one."""
    if sys.platform != "linux":
        raise HarnessError("the API server of the tests needs Linux")
    require_debian_packages(node=False)
    programs = binaries.control_plane()
    with _state_folder() as folder, contextlib.closing(Namespace(folder / "logs")) as namespace:
        if os.geteuid() == 0:
            namespace.run(["sh", "-c", ISOLATE])
        namespace.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "turnout", folder / "data"])
        plane = ControlPlane(namespace, programs, folder)
        with _timed("API server"):
            plane.start()
        yield plane


def node(plane: ControlPlane) -> Node:
    """Add a node to a running API server; it ends with it. Raises HarnessError if this machine cannot run one."""
    if reason := available():
        raise HarnessError(reason)
    require_debian_packages(node=True)
    programs = binaries.node()
    with _timed("image layers"):
        images.make_layers(programs / "pause")
    added = Node(plane, programs)
    with _timed("node"):
        added.start()
    return added


@contextmanager
def _state_folder() -> Iterator[Path]:
    """A folder for one run, locked while its owner lives. What dead owners left, control groups too, is removed."""
    base = cache_dir() / "run"
    base.mkdir(exist_ok=True)
    for old in base.iterdir():
        _remove_if_dead(old)
    folder = Path(tempfile.mkdtemp(dir=base))
    folder.chmod(0o755)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("logs", "data"):
            (folder / name).mkdir()
        try:
            yield folder
        finally:
            _remove(folder)


def _remove_if_dead(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(folder)


def _remove(folder: Path) -> None:
    if os.geteuid() == 0:
        remove_cgroups(f"turnout-test-{folder.name}")
    keep = os.environ.get("TURNOUT_KEEP_LOGS")
    if keep:
        shutil.copytree(folder / "logs", keep, dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"cluster: {what} ready after {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
