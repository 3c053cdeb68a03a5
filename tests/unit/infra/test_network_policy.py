"""Who may reach routers."""

from typing import Any

import pytest

from turnout.infra.objects import router_objects
from turnout.infra.options import Clients, RouterOptions
from turnout.infra.pod import PORT, STATUS_PORT

EVERY_POD: dict[str, Any] = {"namespaceSelector": {}}
NEIGHBOURS: dict[str, Any] = {"podSelector": {}}
OPERATOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "turnout-system"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "turnout-operator"}},
}


def admitted(clients: Clients, port: int) -> list[dict[str, Any]] | None:
    """Who is let in at a port; None: everybody."""
    options = RouterOptions(clients=clients)
    objects = router_objects("ai", options, bootstrap=b"", wasm=b"", own_namespace="turnout-system")
    policy = next(o for o in objects if o["kind"] == "NetworkPolicy")
    (rule,) = [rule for rule in policy["spec"]["ingress"] if rule["ports"] == [{"port": port, "protocol": "TCP"}]]
    found: list[dict[str, Any]] | None = rule.get("from")
    return found


@pytest.mark.parametrize(
    ("clients", "expected"),
    [(Clients.NAMESPACE, [NEIGHBOURS, OPERATOR]), (Clients.CLUSTER, [EVERY_POD]), (Clients.ANYWHERE, None)],
)
def test_the_operator_is_always_among_the_clients(clients: Clients, expected: list[dict[str, Any]] | None) -> None:
    """It proves there that tokens are accepted: without that no key would ever become Active."""
    assert admitted(clients, PORT) == expected


@pytest.mark.parametrize("clients", list(Clients))
def test_statistics_are_for_the_operator_and_prometheus(clients: Clients) -> None:
    """Whoever the clients are."""
    prometheus = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    assert admitted(clients, STATUS_PORT) == [OPERATOR, prometheus]
