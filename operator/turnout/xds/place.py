"""Where a router finds its files: the same in every pod, different on a laptop. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Paths as the router sees them.

    Attributes:
        wasm: the filter module.
        xds_dir: the folder with the four files of render.Files.
        ca_bundle: the system's certificate authorities in PEM, against which providers are checked.
    """

    wasm: str
    xds_dir: str
    ca_bundle: str


POD = Place(wasm="/etc/turnout/filter.wasm", xds_dir="/etc/turnout/xds", ca_bundle="/etc/ssl/certs/ca-certificates.crt")
"""Paths in a router pod; the CA bundle is where Envoy's own images have it."""
