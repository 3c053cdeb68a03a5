"""Warm standby: idle models are asked for one token through the router itself."""

import json

import pytest

from harness.asking import post
from harness.manifests import group, key, model
from harness.providers import Trio
from harness.router import Router, Serve, eventually
from harness.wire import Wire


@pytest.fixture
def router(serve: Serve, trio: Trio) -> Router:
    """Two workers, just started, that have asked both models; idle ones are asked every ten seconds."""
    trio.two.mode("401")
    models = [trio.one.manifest, trio.two.manifest]
    prices = [{**m, "price": {"input": "1", "output": "2"}} for m in models]
    router = serve(group("assistant", *prices, warm={"every": "10s"}), key("app"), *trio.secrets, workers=2)
    eventually(lambda: router.lanes() and router.metrics().sum("turnout_warmups_total") == 2)
    return router


def test_each_idle_model_is_asked_once_and_what_it_says_is_shown(router: Router, trio: Trio) -> None:
    """One real request, with the credential and the provider's name of the model; not one per worker."""
    metrics, lanes = router.metrics(), router.lanes()
    assert metrics.sum("turnout_warmups_total", group="assistant", model="one", result="ok") == 1
    assert metrics.sum("turnout_warmups_total", group="assistant", model="two", result="refused") == 1
    assert lanes["one"]["warmFault"] is None
    assert lanes["two"]["warmFault"].startswith("401 ")
    assert [len(p.seen) for p in (trio.one, trio.two)] == [1, 1]
    asked = trio.one.seen[0]
    assert json.loads(asked.body)["max_tokens"] == 1
    assert asked.headers["authorization"].startswith("Bearer ")


def test_warm_ups_are_nobodys_requests(router: Router) -> None:
    """Counted apart: no attempt, no request, no key; their tokens and cost stand by themselves."""
    metrics = router.metrics()
    assert metrics.sum("turnout_attempts_total") == metrics.sum("turnout_requests_total") == 0
    assert metrics.sum("turnout_warm_tokens_total", model="one") > 0
    assert metrics.sum("turnout_warm_cost_nanousd_total", model="one") > 0


def test_a_success_of_a_client_clears_what_was_shown(router: Router, trio: Trio) -> None:
    """It is verified now, and by more than one token."""
    assert router.lanes()["two"]["warmFault"]
    trio.two.reset()
    trio.one.mode("503")
    post(router.http())
    eventually(lambda: router.lanes()["two"]["warmFault"] is None)


def test_the_first_fallback_of_the_day_meets_an_open_connection(serve: Serve, trio: Trio, wire: Wire) -> None:
    """Neither DNS, TCP nor TLS stands between a dead primary and its stand-in."""
    trio.one.mode("503")
    models = [trio.one.manifest, model("wire", wire.url)]
    router = serve(group("assistant", *models, warm={"every": "10s"}), key("app"), *trio.secrets)
    eventually(lambda: router.lanes() and router.metrics().sum("turnout_warmups_total", model="wire") == 1)
    opened = wire.connections
    assert post(router.http()).headers["x-turnout-model"] == "wire"
    assert (len(wire.asked), wire.connections) == (2, opened)
