"""Desired and live object → whether it has to be applied, and who owns its replicas. Pure.

A field that somebody changed is noticed by comparison, one that we no longer want by the hash of what was applied last.
"""

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

from turnout.decide.ir import canonical
from turnout.infra.labels import APPLIED, MANAGER, Json

MERGED_LISTS = frozenset({"containers", "volumes", "volumeMounts", "env", "ownerReferences"})
"""Lists to which others may add entries of their own, such as a sidecar; all others are compared as a whole."""


def stamped(desired: Json) -> Json:
    """The object with the hash of itself, ready to be applied."""
    result = copy.copy(desired)
    annotations = desired["metadata"].get("annotations", {})
    digest = hashlib.sha256(canonical(desired)).hexdigest()[:16]
    result["metadata"] = {**desired["metadata"], "annotations": {**annotations, APPLIED: digest}}
    return result


def differs(desired: Json, live: Mapping[str, Any] | None) -> bool:
    """Whether the stamped object has to be applied: absent, changed by us, or changed by somebody else."""
    return live is None or not _within(desired, live)


def _within(desired: Any, live: Any) -> bool:
    """Whether live has all of desired. What the API server added to live does not count."""
    if isinstance(desired, Mapping):
        return isinstance(live, Mapping) and all(
            _list_within(value, live.get(name), name) if isinstance(value, list) else _within(value, live.get(name))
            for name, value in desired.items()
        )
    # An empty value is left out by the API server: {} and [] come back as nothing.
    return bool(desired == live) or (not desired and live is None and desired is not False and desired != 0)


def _list_within(desired: list[Any], live: Any, name: str) -> bool:
    live = live or []
    if not isinstance(live, list):
        return False
    if name in MERGED_LISTS:
        return all(any(_within(entry, other) for other in live) for entry in desired)
    return len(desired) == len(live) and all(map(_within, desired, live))


def released_replicas(deployment: Mapping[str, Any]) -> list[Json] | None:
    """metadata.managedFields in which spec.replicas is no longer ours; None if that is so already.

    While we own replicas, applying the Deployment without them would set them back to 1.
    """
    found = False
    entries = copy.deepcopy(list(deployment["metadata"].get("managedFields") or []))
    for entry in entries:
        spec = entry.get("fieldsV1", {}).get("f:spec", {})
        if entry.get("manager") == MANAGER and "f:replicas" in spec:
            del spec["f:replicas"]
            found = True
    return entries if found else None
