"""What the workers of all namespaces share."""

from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from turnout.apply.kube import Kube
from turnout.infra.labels import PEERS
from turnout.infra.pod import ADMIN_SOCKET, DRAIN_PORT, PORT, STATUS_PORT
from turnout.observe.health import Health
from turnout.observe.metrics import Metrics
from turnout.settings import Settings
from turnout.watch.store import Store
from turnout.xds.bootstrap import Address, bootstrap
from turnout.xds.limits import RateLimitService, Sharing
from turnout.xds.place import POD

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  in a pod, behind its NetworkPolicy


@dataclass(frozen=True)
class Context:
    """Connections, settings, and the filter module.

    Attributes:
        http: for asking routers.
        wasm: the filter module.
    """

    kube: Kube
    store: Store
    settings: Settings
    http: httpx.AsyncClient
    metrics: Metrics
    health: Health
    wasm: bytes


def pod_bootstrap(namespace: str, settings: Settings) -> bytes:
    """The bootstrap of a namespace's router pods: the same in all of them."""
    service = settings.rate_limit_service and RateLimitService(*settings.rate_limit_service, namespace)
    return bootstrap(
        POD,
        listen=Address(EVERY_ADDRESS, PORT),
        status=Address(EVERY_ADDRESS, STATUS_PORT),
        drain=Address(EVERY_ADDRESS, DRAIN_PORT),
        admin_socket=ADMIN_SOCKET,
        node_id="turnout-router",
        log=settings.router.access_log,
        sharing=Sharing(PEERS, service),
    )


def now() -> datetime:
    """The time of day, aware UTC."""
    return datetime.now(UTC)
