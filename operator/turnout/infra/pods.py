"""Live pods → the routers that can be asked. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RouterPod:
    """A router pod that takes traffic.

    Attributes:
        life: uid and number of restarts: counters begin at zero with each.
    """

    namespace: str
    name: str
    ip: str
    life: str


def ready_pods(pods: Iterable[Mapping[str, Any]]) -> tuple[RouterPod, ...]:
    """Pods that are ready and not on their way out, by name."""
    found = (_ready_pod(pod) for pod in pods)
    return tuple(sorted((pod for pod in found if pod), key=lambda pod: pod.name))


def _ready_pod(pod: Mapping[str, Any]) -> RouterPod | None:
    meta, status = pod["metadata"], pod.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    if not ready or "deletionTimestamp" in meta or not status.get("podIP"):
        return None
    restarts = sum(c.get("restartCount", 0) for c in status.get("containerStatuses") or ())
    return RouterPod(meta["namespace"], meta["name"], status["podIP"], f"{meta['uid']}/{restarts}")
