"""IR → the four files that a running router watches, and their common version. Pure: same IR, same bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.decide.ir import Router, canonical
from turnout.xds.clusters import cluster
from turnout.xds.envoy import Json, typed
from turnout.xds.filters import filters
from turnout.xds.place import Place
from turnout.xds.routes import route_configuration

CLUSTER = "envoy.config.cluster.v3.Cluster"
ROUTES = "envoy.config.route.v3.RouteConfiguration"
EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"


@dataclass(frozen=True)
class Files:
    """What a router reads.

    Attributes:
        data: file name → bytes. Contains credentials, so repr leaves it out.
        version: 64 hex digits, sha256 over all resources; the version_info of each file, which Envoy reports back.
    """

    data: Mapping[str, bytes] = field(repr=False)
    version: str

    @property
    def size(self) -> int:
        """Bytes of all files together: what counts against the 1 MiB of a Secret."""
        return sum(map(len, self.data.values()))


def resources(router: Router, place: Place) -> dict[str, list[Json]]:
    """File name → the resources in it, each with its type."""
    files = {
        "cds.json": [typed(CLUSTER, **cluster(e, place)) for e in router.endpoints],
        "rds.json": [typed(ROUTES, **route_configuration(router))],
    }
    for name, config in filters(router, place).items():
        files[f"ecds_{name}.json"] = [typed(EXTENSION, **config)]
    return files


def render(router: Router, place: Place) -> Files:
    """The files of a router."""
    files = resources(router, place)
    version = hashlib.sha256(canonical(files)).hexdigest()
    data = {name: canonical({"version_info": version, "resources": found}) for name, found in sorted(files.items())}
    return Files(data, version)
