"""IR → Envoy clusters: one for each endpoint; no price, credential or chain could change anything in it. Pure."""

import ipaddress

from turnout.decide.ir import Endpoint
from turnout.xds.envoy import READ_AT_ONCE, UPSTREAM_HTTP, Json, extension, typed
from turnout.xds.place import Place

DNS = "envoy.extensions.clusters.dns.v3.DnsCluster"

CONNECT_TIMEOUT = "3s"
"""For TCP and TLS together. A lost SYN is sent again after 1 s (RFC 6298), so this survives one, and no more."""

UPSTREAM_IDLE_TIMEOUT = "50s"
"""Idle connections are closed before the 60 s after which common load balancers close them without a word."""

UNBOUNDED = 1_000_000
"""Envoy's own breakers must never act (max_retries is 3 by default: 30 requests at a dead lane gave 27 times 503)."""


BREAKERS = {f"max_{what}": UNBOUNDED for what in ("connections", "requests", "pending_requests", "retries")}
"""A threshold of Envoy's breakers that is never reached."""


def cluster(endpoint: Endpoint, place: Place) -> Json:
    """The cluster of one endpoint.

    Its second priority is a port that refuses: a name that does not resolve leaves the first priority empty, and Envoy
    would end the request with "no healthy upstream". A refused connection is retried on the next model.
    """
    protocol: Json = {"http_protocol_options": {}}
    if endpoint.tls:
        protocol["http2_protocol_options"] = {"connection_keepalive": {"interval": "30s", "timeout": "10s"}}
    options = {"auto_config": protocol} if endpoint.tls else {"explicit_http_config": protocol}
    result: Json = {
        "name": endpoint.cluster,
        "cluster_type": extension("envoy.cluster.dns", DNS, respect_dns_ttl=True, dns_lookup_family="V4_PREFERRED"),
        "connect_timeout": CONNECT_TIMEOUT,
        "per_connection_buffer_limit_bytes": READ_AT_ONCE,
        "circuit_breakers": {"thresholds": [BREAKERS]},
        "load_assignment": {
            "cluster_name": endpoint.cluster,
            "endpoints": [_address(endpoint.host, endpoint.port, 0), _address("127.0.0.1", 1, 1)],
        },
        "typed_extension_protocol_options": {
            UPSTREAM_HTTP: typed(
                UPSTREAM_HTTP, common_http_protocol_options={"idle_timeout": UPSTREAM_IDLE_TIMEOUT}, **options
            )
        },
    }
    if endpoint.tls:
        result["transport_socket"] = _tls(endpoint, place)
    return result


def _address(host: str, port: int, priority: int) -> Json:
    address = {"socket_address": {"address": host, "port_value": port}}
    return {"priority": priority, "lb_endpoints": [{"endpoint": {"address": address}}]}


def _tls(endpoint: Endpoint, place: Place) -> Json:
    """TLS with the certificate and its name checked; the name is sent as SNI, unless it is an address (RFC 6066, 3)."""
    numeric = _is_ip(endpoint.host)
    authorities = {"inline_string": endpoint.ca_pem} if endpoint.ca_pem else {"filename": place.ca_bundle}
    name = {"san_type": "IP_ADDRESS" if numeric else "DNS", "matcher": {"exact": endpoint.host}}
    fields: Json = {
        "common_tls_context": {
            "validation_context": {"trusted_ca": authorities, "match_typed_subject_alt_names": [name]},
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        }
    }
    if not numeric:
        fields["sni"] = endpoint.host
    return extension(
        "envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", **fields
    )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
