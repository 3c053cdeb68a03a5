"""What tests do with a cluster: apply, read, wait, talk to pods. kubectl does the work, so failures show its words."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import yaml

from harness.control_plane import ControlPlane
from harness.namespace import CommandError
from harness.node import Node

T = TypeVar("T")
Object = dict[str, Any]


class ApiServer:
    """Helpers over an API server, with or without a node."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.namespace = plane.namespace
        """The Linux namespaces that all runs in; `namespace.call(function)` reaches pods and services from a test."""

    def kubectl(self, *args: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Run kubectl as cluster admin; standard output. Raises CommandError with the server's message."""
        return self.plane.kubectl(*args, stdin=stdin, timeout_s=timeout_s)

    def apply(self, *documents: Mapping[str, Any] | str, namespace: str | None = None) -> str:
        """Apply objects or YAML text; what kubectl said. Raises CommandError if the server refuses one."""
        where = ["-n", namespace] if namespace else []
        texts = [d if isinstance(d, str) else yaml.safe_dump(dict(d), sort_keys=False) for d in documents]
        return self.kubectl("apply", *where, "-f", "-", stdin="\n---\n".join(texts))

    def refused(self, document: Mapping[str, Any] | str, namespace: str | None = None) -> str:
        """The message with which the server refuses the object (dry run). Raises AssertionError if it takes it."""
        where = ["-n", namespace] if namespace else []
        text = document if isinstance(document, str) else yaml.safe_dump(dict(document), sort_keys=False)
        try:
            self.kubectl("create", "--dry-run=server", *where, "-f", "-", stdin=text)
        except CommandError as failed:
            return failed.stderr
        raise AssertionError(f"the API server took it:\n{text}")

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None if there is none."""
        where = ["-n", namespace] if namespace else []
        out = self.kubectl("get", kind, name, *where, "-o", "json", "--ignore-not-found")
        found: Object | None = json.loads(out) if out.strip() else None
        return found

    def items(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Object]:
        """All objects of a kind in a namespace (None: in all)."""
        where = ["-n", namespace] if namespace else ["-A"]
        out = self.kubectl("get", kind, *where, "-l", selector, "-o", "json")
        found: list[Object] = json.loads(out)["items"]
        return found

    def make_namespace(self, name: str) -> str:
        """Create a Kubernetes namespace and return its name."""
        self.kubectl("create", "namespace", name)
        return name

    def wait_for(self, check: Callable[[], T | None], what: str, timeout_s: float = 30, every_s: float = 0.1) -> T:
        """Ask `check` until it returns something true; that. Raises AssertionError naming `what` if it never does."""
        deadline = time.monotonic() + timeout_s
        while True:
            if found := check():
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
            time.sleep(every_s)

    def writes(self, user_prefix: str) -> list[Object]:
        """Audit events of all writes so far by service accounts whose user name starts so."""
        lines = self.plane.audit_log.read_text().splitlines() if self.plane.audit_log.exists() else []
        events = (json.loads(line) for line in lines if line.endswith("}"))
        return [e for e in events if e["user"]["username"].startswith(user_prefix)]


class Cluster(ApiServer):
    """An API server with a node: pods run."""

    def __init__(self, plane: ControlPlane, node: Node) -> None:
        super().__init__(plane)
        self.node = node

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        """Pods that are not on their way out, oldest first."""
        found = [p for p in self.items("pods", namespace, selector) if "deletionTimestamp" not in p["metadata"]]
        return sorted(found, key=lambda p: (p["metadata"]["creationTimestamp"], p["metadata"]["name"]))

    def ready_pods(self, namespace: str, selector: str = "") -> list[Object]:
        """Those of `pods` whose condition Ready is True."""
        return [p for p in self.pods(namespace, selector) if condition(p, "Ready") == "True"]

    def logs(self, pod: str, namespace: str, *flags: str) -> str:
        """The pod's log. An empty string if it has none yet."""
        try:
            return self.kubectl("logs", pod, "-n", namespace, "--all-containers", *flags)
        except CommandError:
            return ""

    def describe_failure(self, namespaces: Iterable[str]) -> str:
        """Pods, events and the ends of logs, for a failed test's output."""
        parts = [self.kubectl("get", "pods", "-A", "-o", "wide")]
        for namespace in namespaces:
            parts.append(self.kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp"))
            parts += [
                f"--- {p['metadata']['name']}\n{self.logs(p['metadata']['name'], namespace, '--tail=40')}"
                for p in self.pods(namespace)
            ]
        return "\n".join(parts)


def condition(obj: Object, type_: str) -> str | None:
    """Status of one condition: "True", "False", "Unknown", or None if the object does not have it."""
    found = find_condition(obj, type_)
    return found["status"] if found else None


def find_condition(obj: Object, type_: str) -> Object | None:
    """One condition whole."""
    conditions = obj.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == type_), None)
