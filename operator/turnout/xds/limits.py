"""The limits of keys as filters of Envoy's: a token bucket for each key at each router, the routers' local cluster, by
which they split a budget, and the rate limit service, which splits nothing. Pure.

No limit stands here, nor any key: the table has them, and the filter says which part of its minute a request takes, in
hits. So nothing here ever changes while a router runs, and no change of keys gives any key its budget anew.
"""

from dataclasses import dataclass

from turnout.xds.clusters import CONNECT_TIMEOUT, DNS
from turnout.xds.envoy import HTTP, UPSTREAM_HTTP, Json, extension, typed

LOCAL_RATE_LIMIT = f"{HTTP}.local_ratelimit.v3.LocalRateLimit"
RATE_LIMIT = f"{HTTP}.ratelimit.v3.RateLimit"

MINUTE = {"rpm": 900_000_000, "tpm": 1_000_000_000}
"""Hits of a whole minute of a key, whatever its limit: at most what Envoy lets one request take, 1,000,000,000. Hits
are whole numbers, so a limit of L requests is exact to L/900,000,000 of itself. Two sizes, by which limits.rs tells the
two limiters apart."""

MOST_KEYS = 20_000
"""Buckets that a router remembers; beyond it the one unused for longest begins anew. More keys than a Secret holds."""

PEERS = "peers"
"""Envoy's local cluster: the routers of the namespace. A bucket stays whole, and takes each hit as many times as there
are routers."""

SERVICE = "rate_limit_service"

DOMAIN = "turnout"
"""What the rate limit service's configuration is found by: manifests/rate-limit-service."""

PATIENCE = "0.2s"
"""For an answer of the rate limit service; without one the request goes on. A guess: it takes about 1 ms."""


@dataclass(frozen=True)
class RateLimitService:
    """Where the rate limit service is, and the namespace whose keys it counts: it may serve several."""

    host: str
    port: int
    namespace: str


@dataclass(frozen=True)
class Sharing:
    """How the routers of a namespace share the budgets of keys. By default there is one router, and nothing to share.

    Attributes:
        peers: a name that has the address of each router: budgets are split evenly between them.
        service: counts for all routers. Each then allows whole budgets by itself, which still holds while the service
            does not answer.
    """

    peers: str = ""
    service: RateLimitService | None = None

    @property
    def split(self) -> bool:
        """Whether each router allows its part of a budget only."""
        return bool(self.peers) and self.service is None


def limiters(sharing: Sharing) -> list[Json]:
    """The filters, in the order in which a request meets them."""
    filters = [_local(what, split=sharing.split) for what in MINUTE]
    if sharing.service:
        filters += [_remote(what, sharing.service.namespace) for what in MINUTE]
    return filters


def limit_clusters(sharing: Sharing) -> list[Json]:
    """The clusters that the filters lean on. To peers nothing is ever sent: they are counted."""
    if sharing.split:
        return [_cluster(PEERS, sharing.peers, 1)]
    if not sharing.service:
        return []
    http2 = typed(UPSTREAM_HTTP, explicit_http_config={"http2_protocol_options": {}})
    found = _cluster(SERVICE, sharing.service.host, sharing.service.port)
    return [{**found, "typed_extension_protocol_options": {UPSTREAM_HTTP: http2}}]


def _cluster(name: str, host: str, port: int) -> Json:
    address = {"socket_address": {"address": host, "port_value": port}}
    return {
        "name": name,
        "cluster_type": extension("envoy.cluster.dns", DNS, dns_lookup_family="V4_PREFERRED"),
        "connect_timeout": CONNECT_TIMEOUT,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _policy(what: str, *first: Json) -> Json:
    """What a request counts for, if the filter says that this limit holds for it; first: what stands before."""
    hits = f"x-turnout-{what}"
    limited = {"descriptor_key": "limit", "descriptor_value": what, "headers": [{"name": hits, "present_match": True}]}
    return {
        "actions": [
            *first,
            {"header_value_match": limited},
            {"request_headers": {"header_name": "x-turnout-key", "descriptor_key": "key"}},
        ],
        "hits_addend": {"format": f"%REQ({hits})%"},
    }


def _local(what: str, *, split: bool) -> Json:
    """A bucket for each key that comes by, shared by the workers of a router."""
    always = {"default_value": {"numerator": 100}}
    hits = MINUTE[what]
    bucket = {"max_tokens": hits, "tokens_per_fill": hits, "fill_interval": "60s"}
    return extension(
        what,
        LOCAL_RATE_LIMIT,
        stat_prefix=what,
        filter_enabled=always,
        filter_enforced=always,
        always_consume_default_token_bucket=False,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        rate_limits=[_policy(what)],
        descriptors=[{"entries": [{"key": "limit", "value": what}, {"key": "key"}], "token_bucket": bucket}],
        max_dynamic_descriptors=MOST_KEYS,
        **({"local_cluster_rate_limit": {}} if split else {}),
    )


def _remote(what: str, namespace: str) -> Json:
    """The same asked of the service. While it fails, the request goes on: Envoy's default."""
    whose = {"generic_key": {"descriptor_key": "namespace", "descriptor_value": namespace}}
    return extension(
        f"{what}_service",
        RATE_LIMIT,
        domain=DOMAIN,
        stat_prefix=what,
        timeout=PATIENCE,
        rate_limit_service={"grpc_service": {"envoy_grpc": {"cluster_name": SERVICE}}, "transport_api_version": "V3"},
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        disable_x_envoy_ratelimited_header=True,
        rate_limits=[_policy(what, whose)],
    )
