"""A namespace's router → the Kubernetes objects that it is made of, as they are applied. Pure.

Only fields that Turnout wants to own are in them; what the API server or another manager adds is left alone. Replicas
are added for creation only (`initial`).
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from turnout.infra.labels import BASE_URL_PORT, NAME, PEERS, ROUTER, ROUTER_LABELS, Json, metadata
from turnout.infra.options import Clients, RouterOptions
from turnout.infra.pod import BOOTSTRAP_FILE, PORT, STATUS_PORT, WASM_FILE, pod_template

OPERATOR = "turnout-operator"
"""Label app.kubernetes.io/name of the operator's pods."""
NAMESPACE_NAME = "kubernetes.io/metadata.name"
PROMETHEUS = "prometheus"
"""Label app.kubernetes.io/name of pods that may read metrics, as Prometheus' charts and its operator set it."""


def router_objects(
    namespace: str, options: RouterOptions, *, bootstrap: bytes, wasm: bytes, own_namespace: str
) -> tuple[Json, ...]:
    """All objects of a router but its xDS Secret, in the order of creation.

    bootstrap, wasm: files that pods read once, at their start. own_namespace: the operator's.
    """
    once = hashlib.sha256(hashlib.sha256(bootstrap).digest() + hashlib.sha256(wasm).digest()).hexdigest()[:16]
    return (
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(namespace, ROUTER),
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(namespace, ROUTER),
            "binaryData": encoded({BOOTSTRAP_FILE: bootstrap, WASM_FILE: wasm}),
        },
        _service(namespace),
        _peers(namespace),
        _network_policy(namespace, options.clients, own_namespace),
        _disruption_budget(namespace),
        _deployment(namespace, options, once),
    )


def files_secret(namespace: str, files: Mapping[str, bytes]) -> Json:
    """The Secret that router pods mount. Contains tokens and credentials."""
    return secret(namespace, ROUTER, files)


def secret(namespace: str, name: str, data: Mapping[str, bytes], **more: object) -> Json:
    """A Secret of ours; more goes into its metadata."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata(namespace, name, **more),
        "data": encoded(data),
    }


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """Bytes as base64 text, sorted by name."""
    return {name: base64.b64encode(data[name]).decode() for name in sorted(data)}


def decoded(obj: Mapping[str, Any]) -> dict[str, bytes]:
    """The data of a Secret as bytes; the inverse of encoded."""
    return {name: base64.b64decode(value or "") for name, value in (obj.get("data") or {}).items()}


def initial(deployment: Json, replicas: int) -> Json:
    """The Deployment as it is created: with replicas, which are nobody's afterwards (see infra.ownership)."""
    return {**deployment, "spec": {"replicas": replicas, **deployment["spec"]}}


def _deployment(namespace: str, options: RouterOptions, once: str) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(namespace, ROUTER),
        "spec": {
            "selector": {"matchLabels": ROUTER_LABELS},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": pod_template(options, bootstrap_hash=once),
        },
    }


def _service(namespace: str) -> Json:
    port = {"name": "http", "port": BASE_URL_PORT, "protocol": "TCP", "targetPort": PORT, "appProtocol": "http"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(namespace, ROUTER),
        "spec": {"type": "ClusterIP", "selector": ROUTER_LABELS, "ports": [port]},
    }


def _peers(namespace: str) -> Json:
    # Ready routers only: one that starts serves nobody yet, and one that drains may do so for an hour.
    port = {"name": "http", "port": PORT, "protocol": "TCP", "targetPort": PORT}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(namespace, PEERS),
        "spec": {"type": "ClusterIP", "clusterIP": "None", "selector": ROUTER_LABELS, "ports": [port]},
    }


def _disruption_budget(namespace: str) -> Json:
    # One at a time: also with a single replica nodes can be drained, and a pod that is not ready never blocks that.
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(namespace, ROUTER),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": ROUTER_LABELS},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _network_policy(namespace: str, clients: Clients, own_namespace: str) -> Json:
    """Clients and the operator, which proves tokens there, to 8080; the operator and Prometheus to 9902. Egress stays
    open: providers are anywhere.
    """
    operator: Json = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: own_namespace}},
        "podSelector": {"matchLabels": {NAME: OPERATOR}},
    }
    allowed: Json = {
        Clients.NAMESPACE: {"from": [{"podSelector": {}}, operator]},
        Clients.CLUSTER: {"from": [{"namespaceSelector": {}}]},
        Clients.ANYWHERE: {},
    }[clients]
    prometheus = {"namespaceSelector": {}, "podSelector": {"matchLabels": {NAME: PROMETHEUS}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(namespace, ROUTER),
        "spec": {
            "podSelector": {"matchLabels": ROUTER_LABELS},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [{"port": PORT, "protocol": "TCP"}], **allowed},
                {"ports": [{"port": STATUS_PORT, "protocol": "TCP"}], "from": [operator, prometheus]},
            ],
        },
    }
