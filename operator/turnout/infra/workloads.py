"""Workloads that use a key: which token they were last restarted for, and how that goes. Pure.

Rollouts are judged as `kubectl rollout status` does (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go).
"""

from collections.abc import Mapping
from typing import Any

from turnout.decide.facts import Rollout, RolloutState
from turnout.infra.kinds import DAEMON_SET, DEPLOYMENT, STATEFUL_SET, Kind
from turnout.infra.labels import Json

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (DEPLOYMENT, STATEFUL_SET, DAEMON_SET)}
"""What can be restarted, by name."""
ANNOTATION = "token.turnout.dev/{key}"
"""Annotation of a pod template: id of the token for which its pods were last restarted. One for each key."""


def restarted(key: str, token: str) -> Json:
    """The merge patch that restarts a workload for a token, as `kubectl rollout restart` does. token: empty: as if it
    had never been restarted for one.
    """
    annotations = {ANNOTATION.format(key=key): token or None}
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


def rollout(key: str, workload: Mapping[str, Any] | None) -> Rollout:
    """How a workload stands. workload: as the API server shows it; None: it does not exist."""
    if workload is None:
        return Rollout(RolloutState.MISSING)
    spec, status = workload["spec"], workload.get("status") or {}
    token = (spec["template"]["metadata"].get("annotations") or {}).get(ANNOTATION.format(key=key), "")
    state, message = _state(workload["kind"], workload["metadata"].get("generation", 0), spec, status)
    return Rollout(state, token, message, _obstacle(workload["kind"], spec))


def _obstacle(kind: str, spec: Mapping[str, Any]) -> str:
    if spec.get("paused"):
        return "is paused: resume it"
    if kind != DEPLOYMENT.name and (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return "has updateStrategy OnDelete, so it cannot be restarted: use RollingUpdate"
    return ""


def _state(kind: str, generation: int, spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[RolloutState, str]:
    if status.get("observedGeneration", 0) < generation:
        return RolloutState.UNDER_WAY, "was not looked at by its controller"
    if kind == DEPLOYMENT.name:
        late = next((c for c in status.get("conditions") or () if c.get("reason") == "ProgressDeadlineExceeded"), None)
        if late is not None:
            return RolloutState.FAILED, f"did not roll out: {late.get('message', 'its deadline is over')}"
        wanted = spec.get("replicas", 1)
        return _counted(wanted, status, total="replicas", updated="updatedReplicas", available="availableReplicas")
    if kind == STATEFUL_SET.name:
        partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
        wanted = max(spec.get("replicas", 1) - partition, 0)
        if not partition and status.get("updateRevision") != status.get("currentRevision"):
            return RolloutState.UNDER_WAY, "has old pods left"
        return _counted(wanted, status, total="", updated="updatedReplicas", available="readyReplicas")
    names = {"total": "", "updated": "updatedNumberScheduled", "available": "numberAvailable"}
    return _counted(status.get("desiredNumberScheduled", 0), status, **names)


def _counted(
    wanted: int, status: Mapping[str, Any], *, total: str, updated: str, available: str
) -> tuple[RolloutState, str]:
    new, well = status.get(updated, 0), status.get(available, 0)
    if new < wanted:
        return RolloutState.UNDER_WAY, f"has {new} of {wanted} pods restarted"
    if total and status.get(total, 0) > new:
        return RolloutState.UNDER_WAY, f"has {status.get(total, 0) - new} old pods left"
    if well < wanted:
        return RolloutState.UNDER_WAY, f"has {well} of {wanted} restarted pods available"
    return RolloutState.DONE, ""
