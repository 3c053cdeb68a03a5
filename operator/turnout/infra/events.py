"""A decision on a rollout → the Event that `kubectl describe` and `kubectl get events` show. Pure."""

from collections.abc import Mapping
from typing import Any

from turnout.api.canaryrollout_status import Action, DecisionStatus
from turnout.api.quantities import format_time
from turnout.decide.canary.state import BREACH
from turnout.decide.ir import canonical, digest
from turnout.infra.labels import MANAGER, Json

LONGEST = 1_000
"""Characters of an event's note: the API takes 1,024."""


def decision_event(rollout: Mapping[str, Any], decision: DecisionStatus) -> Json:
    """The event. rollout: the object that it is about. Same decision, same name: it is there once, however often it is
    sent.
    """
    meta = rollout["metadata"]
    said: Any = decision.model_dump(mode="json", by_alias=True, include={"at", "action", "step", "weight", "reason"})
    at = format_time(decision.at)
    worrying = decision.action in {Action.ROLLBACK, Action.ABORT} or decision.reason == BREACH
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "namespace": meta["namespace"],
            "name": f"{meta['name'][:200]}.{digest(meta['uid'] + canonical(said).decode())}",
        },
        "involvedObject": {
            "apiVersion": rollout["apiVersion"],
            "kind": rollout["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        },
        "type": "Warning" if worrying else "Normal",
        "reason": decision.action.value,
        "message": (decision.message or decision.reason)[:LONGEST],
        "source": {"component": MANAGER},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
