"""The intermediate representation: what the routers of one namespace shall do, as plain data with final names.

Pure data. Made by decide.build, read by xds (Envoy files) and infra (status). Names are final, references are resolved,
units are fixed: milliseconds, picodollars (1e-12 USD) per token, percent. A group holds everything that it needs, so
the last good one can be kept as it was while the others move on.
"""

import gzip
import hashlib
import json
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, SerializationInfo, field_serializer

from turnout.api import Delivery

PICODOLLARS_PER_TOKEN = Decimal(1_000_000)
"""Picodollars per token for one US dollar per million tokens: 1e12 / 1e6."""

REVEAL = {"reveal": True}
"""Serialization context under which credentials are written out; without it they are masked."""


class Frozen(BaseModel):
    """Base of all IR: immutable, strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Endpoint(Frozen):
    """A provider's network address: what Envoy calls a cluster."""

    tls: bool
    host: str
    port: int
    ca_pem: str | None = None
    """Certificates in PEM that replace the system's roots for this endpoint."""

    @property
    def cluster(self) -> str:
        """Envoy's cluster name: readable, unique for address, scheme and CA; no dots or colons, which split stats."""
        identity = json.dumps([self.tls, self.host, self.port, self.ca_pem])
        return f"{slug(self.host)}_{self.port}_{digest(identity)}"

    @property
    def authority(self) -> str:
        """Value of the Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Lane(Frozen):
    """Everything between "try this model now" and the provider's answer; its id is the identity of its circuit."""

    id: str
    endpoint: Endpoint
    prefix: str
    """Path that stands in for /v1 at the provider, such as /api/v1; empty for the root."""
    upstream_name: str
    credential: SecretStr | None = None

    @field_serializer("credential")
    def _credential(self, value: SecretStr | None, info: SerializationInfo) -> str | None:
        return _written(value, info)


class Circuit(Frozen):
    """When a lane opens and how it comes back."""

    failures: int
    recovery_ms: int
    half_open_requests: int
    ramp_ms: int


class Price(Frozen):
    """Picodollars per token, integers; 140_000 is 0.14 USD per million tokens."""

    input: int = 0
    cached_input: int = 0
    output: int = 0


class Capacity(Frozen):
    """What each router may ask of a lane; 0 is no limit. Members that share a lane share the smallest."""

    requests_per_minute: int = 0
    concurrent_requests: int = 0


class Member(Frozen):
    """A model of a group: a lane with what this group says of it."""

    name: str
    lane: Lane
    fallback: bool
    circuit: Circuit
    price: Price
    capacity: Capacity = Capacity()
    warm_ms: int = 0
    """How long the lane may be idle before it is asked for one token; 0 is off. Members that share a lane share the
    shortest."""
    window: int = 0
    """Tokens that prompt and answer may have together; 0 is unknown."""
    features: tuple[str, ...] | None = None
    """What it can do, sorted; None is everything."""


class Canary(Frozen):
    """A rollout under way: which share of a group's first attempts is drawn for another model than its first."""

    rollout: str
    """Id of this run of the rollout: sticky keys keep their places while it is the same."""
    tag: str
    """The run and the period of its evidence: what routers count is told apart by it."""
    model: str
    """The canary: a member of the group, perhaps one that is no fallback."""
    baseline: str
    """The group's first member."""
    weight: int
    """Share of first attempts, 0–10000 hundredths of a percent. 0: none, and nothing is counted."""
    sticky: bool
    """Whether a key always sees the same arm; more weight moves keys into the canary only."""


class Group(Frozen):
    """A chain of models behind one name, in the order in which they are tried."""

    name: str
    members: tuple[Member, ...]
    attempts_per_model: int
    delivery: Delivery
    first_token_ms: int
    idle_ms: int
    request_ms: int
    total_ms: int
    canary: Canary | None = None


class Key(Frozen):
    """One issued token and what it may do. A ScopedKey has one entry for each token that is alive."""

    name: str
    token_id: str
    token: SecretStr
    slot: int = 0
    """What routers count it by: no other token of the key has the same."""
    scopes: tuple[str, ...]
    groups: tuple[str, ...]
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    expires_at_ms: int | None = None
    spent: bool = False
    """Its budget of this month is used up: models are refused to it."""

    @field_serializer("token")
    def _token(self, value: SecretStr, info: SerializationInfo) -> str | None:
        return _written(value, info)


class Router(Frozen):
    """All that the routers of one namespace know. Groups and keys are sorted by name."""

    namespace: str
    groups: tuple[Group, ...] = ()
    keys: tuple[Key, ...] = ()

    def group(self, name: str) -> Group | None:
        """The group of that name, or None."""
        return next((g for g in self.groups if g.name == name), None)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Every lane once, by id."""
        lanes = {m.lane.id: m.lane for g in self.groups for m in g.members}
        return tuple(lanes[i] for i in sorted(lanes))

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint once, by cluster name."""
        endpoints = {lane.endpoint.cluster: lane.endpoint for lane in self.lanes}
        return tuple(endpoints[c] for c in sorted(endpoints))


def dump(router: Router) -> bytes:
    """The router as gzipped canonical JSON, credentials included, for the Secret that keeps the last good one."""
    return gzip.compress(canonical(router.model_dump(mode="json", context=REVEAL)), mtime=0)


def load(data: bytes) -> Router:
    """The inverse of dump. Raises ValueError for anything else, such as the dump of another version."""
    try:
        return Router.model_validate_json(gzip.decompress(data))
    except (OSError, EOFError) as error:
        raise ValueError("not a dumped router") from error


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: the same value gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(text: str) -> str:
    """Eight hex digits of sha256, to make a name unique. Two of 1,000 names collide with a chance of 1 in 8,600."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def slug(text: str) -> str:
    """At most 60 characters that are safe in stat names: ASCII letters, digits, - and _."""
    return "".join(c if (c.isalnum() and c.isascii()) or c == "-" else "_" for c in text)[:60]


def _written(value: SecretStr | None, info: SerializationInfo) -> str | None:
    if value is None:
        return None
    return value.get_secret_value() if (info.context or {}).get("reveal") else "***"
