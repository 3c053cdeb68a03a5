"""Names, labels and annotations of everything the operator writes. Pure."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

ROUTER = "turnout-router"
"""Name of a router's Deployment, Service, Secret and so on: one router per namespace."""
PEERS = "turnout-router-peers"
"""Name of the Service that names the routers one by one; they count each other by it."""
KEYRING = "turnout-keyring"
"""The Secret with the tokens that were issued."""
STATE = "turnout-state"
"""The Secret with the last good configuration."""
USAGE = "turnout-usage"
"""The ConfigMap with what keys have used."""
RESERVED = frozenset({ROUTER, KEYRING, STATE})

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
MANAGER = "turnout"
OURS = {MANAGED_BY: MANAGER}
ROUTER_LABELS = {NAME: ROUTER}
"""What selects router pods; a Deployment's selector can never change."""

APPLIED = "turnout.dev/applied"
"""Annotation: hash of what was applied, by which a newer operator knows that it would apply something else."""
BOOTSTRAP = "turnout.dev/bootstrap"
"""Annotation of the pod template: hash of what pods read only once; a new one rolls them."""
COPY_OF = "turnout.dev/copy-of"
"""Annotation of a Secret that a ScopedKey of another namespace has written there: NAMESPACE/NAME of the key."""
CONFIG = "turnout.dev/config"
"""Annotation of router pods: any change of it makes the kubelet refresh the mounted Secret at once."""

BASE_URL_PORT = 80


def service_url(namespace: str) -> str:
    """OPENAI_BASE_URL inside the cluster."""
    return f"http://{ROUTER}.{namespace}.svc/v1"


def permission(source: str) -> tuple[str, str]:
    """The label by which a namespace allows copies of the keys of another one: name and value.

    The other one's name stands in the prefix, which takes 253 characters; what follows takes only 63, as namespaces do.
    """
    return f"{source}.keys.turnout.dev/copies", "allowed"


def is_ours(obj: Mapping[str, Any]) -> bool:
    """Whether the operator wrote this object."""
    labels = obj.get("metadata", {}).get("labels") or {}
    return bool(labels.get(MANAGED_BY) == MANAGER)


def metadata(namespace: str, name: str, **more: Any) -> Json:
    """Metadata of an object of ours."""
    return {"name": name, "namespace": namespace, "labels": {**OURS, **ROUTER_LABELS}, **more}
