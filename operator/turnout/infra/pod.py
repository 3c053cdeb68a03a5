"""The router's pod template. Pure.

What it leans on: Envoy's admin interface is a Unix socket in the pod, and the status listener (port 9902) passes a few
of its paths on; the xDS Secret is a plain volume, which the kubelet swaps in place; bootstrap and filter are mounted by
subPath, so they never change under a running Envoy.
"""

from turnout.infra.labels import BOOTSTRAP, OURS, ROUTER, ROUTER_LABELS, Json
from turnout.infra.options import RouterOptions

PORT = 8080
STATUS_PORT = 9902
DRAIN_PORT = 9903
"""For the kubelet alone: the NetworkPolicy lets no pod there."""
CONTAINER = "router"
CONFIG_DIR = "/etc/turnout"
RUN_DIR = "/run/turnout"
ADMIN_SOCKET = f"{RUN_DIR}/admin.sock"
BOOTSTRAP_FILE = "bootstrap.json"
WASM_FILE = "filter.wasm"

FLUSH = ("--file-flush-interval-msec", "1000")
"""Envoy's arguments with which lines of the access log are written within a second; its default is ten seconds."""

NONROOT = 65532
"""User and group of distroless images; Envoy's distroless image is built on one."""

GRACE_S = 3630
"""Seconds a stopping pod may take: the longest answer allowed (timeouts.request, at most 3,600 s) and some."""


def pod_template(options: RouterOptions, *, bootstrap_hash: str) -> Json:
    """The template; bootstrap_hash changes whenever running pods have to be replaced by new ones."""
    return {
        "metadata": {
            "labels": {**OURS, **ROUTER_LABELS},
            "annotations": {
                BOOTSTRAP: bootstrap_hash,
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(STATUS_PORT),
                "prometheus.io/path": "/stats/prometheus",
            },
        },
        "spec": {
            "serviceAccountName": ROUTER,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE_S,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": NONROOT,
                "runAsGroup": NONROOT,
                "fsGroup": NONROOT,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [_spread("kubernetes.io/hostname"), _spread("topology.kubernetes.io/zone")],
            "containers": [_container(options)],
            "volumes": [
                {"name": "config", "configMap": {"name": ROUTER}},
                # Readable for Envoy's group alone: it holds tokens and the providers' credentials.
                {"name": "xds", "secret": {"secretName": ROUTER, "defaultMode": 0o440}},
                {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            ],
        },
    }


def _container(options: RouterOptions) -> Json:
    return {
        "name": CONTAINER,
        "image": options.image,
        "imagePullPolicy": options.pull_policy,
        "args": [
            *("-c", f"{CONFIG_DIR}/{BOOTSTRAP_FILE}"),
            *("--concurrency", str(options.concurrency)),
            *("--log-level", "warning"),
            *("--component-log-level", "misc:error"),  # not the same words about api_key_auth at every change
            "--disable-hot-restart",
            *(FLUSH if options.access_log else ()),
        ],
        "ports": [
            {"name": "http", "containerPort": PORT, "protocol": "TCP"},
            {"name": "status", "containerPort": STATUS_PORT, "protocol": "TCP"},
            {"name": "drain", "containerPort": DRAIN_PORT, "protocol": "TCP"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": options.cpu, "memory": options.memory},
            "limits": {"memory": options.memory_limit},
        },
        **_probes(),
        # Answers when the last request is over; new ones are told to go elsewhere meanwhile.
        "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": "drain"}}},
        "volumeMounts": [
            _config(BOOTSTRAP_FILE),
            _config(WASM_FILE),
            {"name": "xds", "mountPath": f"{CONFIG_DIR}/xds", "readOnly": True},
            {"name": "run", "mountPath": RUN_DIR},
        ],
    }


def _probes() -> Json:
    # Alive is whose main thread answers at all: /ready is 503 in a pod that drains, and one that still finishes streams
    # must not be killed for it.
    ready = {"path": "/ready", "port": "status"}
    return {
        "startupProbe": {"httpGet": ready, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 120},
        "readinessProbe": {"httpGet": ready, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 2},
        "livenessProbe": {
            "httpGet": {"path": "/stats?filter=^server.live$", "port": "status"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }


def _spread(topology: str) -> Json:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": ROUTER_LABELS},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _config(file: str) -> Json:
    return {"name": "config", "mountPath": f"{CONFIG_DIR}/{file}", "subPath": file, "readOnly": True}
