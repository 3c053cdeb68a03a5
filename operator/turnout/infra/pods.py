"""Live pods → the routers that can be asked. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from turnout.api.quantities import parse_time
from turnout.infra.pod import CONTAINER

OVER = frozenset({"Failed", "Succeeded"})
"""Phases of pods whose processes have ended, for good; an evicted one keeps its address."""
LOST_AFTER = timedelta(minutes=1)
"""How long after its deletionTimestamp, by which it should have ended, a pod is given up: its node is dead. A guess."""


@dataclass(frozen=True)
class RouterPod:
    """A router pod that can be asked.

    Attributes:
        ready: it takes traffic; else it only ends what it has begun, or has not begun yet.
        leaving: it is on its way out, and ends what it has begun.
        life: uid and number of restarts of Envoy's container: counters begin at zero with each.
        began: when this life did, aware UTC; None: not told.
    """

    namespace: str
    name: str
    ip: str
    life: str
    ready: bool = True
    leaving: bool = False
    began: datetime | None = None


def ready_pods(pods: Iterable[Mapping[str, Any]]) -> tuple[RouterPod, ...]:
    """Pods that are ready and not on their way out, by name."""
    return tuple(pod for pod in _routers(pods) if pod.ready)


def live_pods(pods: Iterable[Mapping[str, Any]], *, now: datetime) -> tuple[RouterPod, ...]:
    """Pods that may answer, ready or not, those on their way out among them, by name. now: aware UTC."""
    return _routers(pod for pod in pods if not _lost(pod, now))


def _routers(pods: Iterable[Mapping[str, Any]]) -> tuple[RouterPod, ...]:
    return tuple(sorted(map(_router_pod, filter(_may_answer, pods)), key=lambda pod: pod.name))


def _may_answer(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status", {})
    return bool(status.get("podIP")) and status.get("phase") not in OVER


def _lost(pod: Mapping[str, Any], now: datetime) -> bool:
    """The API server keeps a pod until its node says that it has ended; deletionTimestamp includes the grace period."""
    ends = pod["metadata"].get("deletionTimestamp")
    return ends is not None and now > parse_time(ends) + LOST_AFTER


def _router_pod(pod: Mapping[str, Any]) -> RouterPod:
    meta, status = pod["metadata"], pod["status"]
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    restarts = sum(c.get("restartCount", 0) for c in _container(pod))
    life, leaving = f"{meta['uid']}/{restarts}", "deletionTimestamp" in meta
    return RouterPod(
        meta["namespace"], meta["name"], status["podIP"], life, ready and not leaving, leaving, _began(pod)
    )


def _began(pod: Mapping[str, Any]) -> datetime | None:
    """When its container was started, or at least not before."""
    states = (c.get("state", {}).get("running") for c in _container(pod))
    started = [state["startedAt"] for state in states if state and "startedAt" in state]
    began = next(iter(started), pod["metadata"].get("creationTimestamp"))
    return parse_time(began) if began else None


def _container(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The status of Envoy's container, if there is one yet; a mesh may have put others beside it, which come and go."""
    return [c for c in pod["status"].get("containerStatuses") or () if c["name"] == CONTAINER]
