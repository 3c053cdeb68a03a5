"""Layers and archives of container images: https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md."""

import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

OCI, LAYOUT = "application/vnd.oci.image", {"imageLayoutVersion": "1.0.0"}


@dataclass(frozen=True)
class Layer:
    """One uncompressed tar in the cache and its digest, which is both blob digest and diff id."""

    path: Path
    digest: str


Image = tuple[str, dict[str, object], list[Layer]]
"""Name, configuration (OCI's own words), layers from the bottom."""


def write_layer(target: Path, root: Path) -> None:
    """A tar with sorted names, no times and one owner: same files, same digest."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        if info.isdir() and info.name != "tmp":
            info.mode = 0o755
        elif info.isfile():
            info.mode = 0o755 if info.mode & 0o100 else 0o644
        return info

    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=plain)


def write_layout(target: BinaryIO, images: list[Image]) -> None:
    """Write an image layout, blobs first, as one tar to a file or pipe."""
    with tarfile.open(fileobj=target, mode="w|") as tar:
        _write_layout(tar, images)


def _write_layout(tar: tarfile.TarFile, images: list[Image]) -> None:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    written: set[str] = set()

    def add(name: str, size: int, source: IO[bytes]) -> None:
        if name not in written:
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, source)
            written.add(name)

    def blob(data: dict[str, object], media_type: str) -> dict[str, object]:
        raw = json.dumps(data, sort_keys=True).encode()
        digest = hashlib.sha256(raw).hexdigest()
        add(f"blobs/sha256/{digest}", len(raw), io.BytesIO(raw))
        return {"mediaType": f"{OCI}.{media_type}", "digest": f"sha256:{digest}", "size": len(raw)}

    index = []
    for name, config, layers in images:
        described = []
        for layer in layers:
            size = layer.path.stat().st_size
            with layer.path.open("rb") as source:
                add(f"blobs/sha256/{layer.digest}", size, source)
            described.append({"mediaType": f"{OCI}.layer.v1.tar", "digest": f"sha256:{layer.digest}", "size": size})
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]}
        whole = {"architecture": architecture, "os": "linux", "config": config, "rootfs": rootfs}
        manifest = {"schemaVersion": 2, "config": blob(whole, "config.v1+json"), "layers": described}
        annotations = {"io.containerd.image.name": name}
        index.append({**blob(manifest, "manifest.v1+json"), "annotations": annotations})
    for name, document in (("index.json", {"schemaVersion": 2, "manifests": index}), ("oci-layout", LAYOUT)):
        raw = json.dumps(document).encode()
        add(name, len(raw), io.BytesIO(raw))
