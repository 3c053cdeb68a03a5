"""What the workers of all namespaces share."""

from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from turnout.apply.kube import Kube
from turnout.infra.pod import ADMIN_SOCKET, DRAIN_PORT, PORT, STATUS_PORT
from turnout.observe.health import Health
from turnout.observe.metrics import Metrics
from turnout.settings import Settings
from turnout.watch.store import Store
from turnout.xds.bootstrap import Address, bootstrap
from turnout.xds.place import POD

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  in a pod, behind its NetworkPolicy


@dataclass(frozen=True)
class Context:
    """Connections, settings, and the two files that pods read once.

    Attributes:
        http: for asking routers.
        wasm, bootstrap: the filter module and Envoy's bootstrap.
    """

    kube: Kube
    store: Store
    settings: Settings
    http: httpx.AsyncClient
    metrics: Metrics
    health: Health
    wasm: bytes
    bootstrap: bytes


def pod_bootstrap(*, access_log: bool) -> bytes:
    """The bootstrap of router pods: the same in all of them."""
    return bootstrap(
        POD,
        listen=Address(EVERY_ADDRESS, PORT),
        status=Address(EVERY_ADDRESS, STATUS_PORT),
        drain=Address(EVERY_ADDRESS, DRAIN_PORT),
        admin_socket=ADMIN_SOCKET,
        node_id="turnout-router",
        log=access_log,
    )


def now() -> datetime:
    """The time of day, aware UTC."""
    return datetime.now(UTC)
