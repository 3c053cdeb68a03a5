"""What an installation chooses about its router pods. Pure data; settings.py fills it."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kMGT]i?)?$")]
"""A Kubernetes quantity, written as the API server writes it back (250m, not 0.25): drift is told by comparison."""


class Clients(StrEnum):
    """Who may reach a router's port 8080."""

    NAMESPACE = "Namespace"
    CLUSTER = "Cluster"
    """Any pod of the cluster."""
    ANYWHERE = "Anywhere"
    """Also what is no pod: nodes, load balancers."""


class RouterOptions(BaseModel):
    """Image, size and reach of router pods. Each field is an environment variable TURNOUT_ROUTER_…"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Annotated[str, Field(min_length=1)] = "envoyproxy/envoy:distroless-v1.40.0"
    """Stock Envoy 1.40; the filter leans on behaviour of this version."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 2
    """Pods of a new router. Only for its creation: afterwards they belong to a person or an autoscaler."""
    concurrency: Annotated[int, Field(ge=1, le=128)] = 2
    """Worker threads of Envoy. Without it Envoy would take one for each core of the node."""
    cpu: Quantity = "250m"
    """CPU requested. There is no limit on it: throttling would be added to every answer's latency."""
    memory: Quantity = "256Mi"
    """Memory requested. Source: 1,000 lanes took 145 MB on Envoy 1.40, 2026-11."""
    memory_limit: Quantity = "1Gi"
    """Memory limit. A guess: bodies up to 32 MiB are held while a request lives."""
    clients: Clients = Clients.CLUSTER
    """Who may reach port 8080."""
    access_log: bool = False
    """Whether router pods write a line of JSON for each request to their standard output."""
    pull_policy: Annotated[str, Field(pattern="^(Always|IfNotPresent|Never)$")] = "IfNotPresent"
