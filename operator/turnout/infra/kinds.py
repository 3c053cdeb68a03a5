"""The kinds of objects that the operator reads or writes, with their places in the API. Pure data."""

from dataclasses import dataclass

from turnout.api import API_VERSION


@dataclass(frozen=True)
class Kind:
    """One namespaced kind.

    Attributes:
        ours: only those with our label are looked at; of the others, all of them.
        fields: field selector for what is looked at; empty: all.
    """

    api_version: str
    name: str
    plural: str
    ours: bool = False
    fields: str = ""

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path at the API server: of one object, of all in a namespace, or of all."""
        parts = [f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"]
        parts += [f"namespaces/{namespace}"] if namespace else []
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


MODEL_GROUP = Kind(API_VERSION, "ModelGroup", "modelgroups")
SCOPED_KEY = Kind(API_VERSION, "ScopedKey", "scopedkeys")
CANARY_ROLLOUT = Kind(API_VERSION, "CanaryRollout", "canaryrollouts")
SECRET = Kind("v1", "Secret", "secrets", fields="type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token")
"""All of them, because any may hold a provider's credential; but for two types that are many, large, and never do."""
POD = Kind("v1", "Pod", "pods", ours=True)
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts", ours=True)
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps", ours=True)
SERVICE = Kind("v1", "Service", "services", ours=True)
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", ours=True)
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", ours=True)
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments", ours=True)
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
DAEMON_SET = Kind("apps/v1", "DaemonSet", "daemonsets")
"""The last two, like users' Deployments, are looked at only while a key that they use rotates."""

NAMESPACE = Kind("v1", "Namespace", "namespaces")
"""Looked at only for what it allows of other namespaces' keys."""

EVENT = Kind("v1", "Event", "events")
"""Written only."""

RESOURCES = (MODEL_GROUP, SCOPED_KEY, CANARY_ROLLOUT)
"""What users write."""

ROUTER_KINDS = (
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    SECRET,
    SERVICE,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    DEPLOYMENT,
)
"""What a router is made of, in the order of creation: a pod finds all that it mounts."""

WATCHED = (*RESOURCES, *ROUTER_KINDS, POD)
BY_NAME = {kind.name: kind for kind in WATCHED}
