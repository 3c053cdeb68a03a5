"""What routers say, and what they say when something is wrong."""

import json
from typing import Any

import httpx
import pytest

from turnout.errors import ScrapeError
from turnout.infra.observation import Refusal
from turnout.infra.pods import RouterPod
from turnout.observe.scrape import base_url, read_config, read_lanes, read_metrics

URL = "http://10.0.0.1:9902"


def router(answer: Any, status: int = 200) -> httpx.AsyncClient:
    """A router that answers everything with this."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(status, text=text)))


async def test_versions_and_refusals_are_read_by_subscription() -> None:
    """In the form that Envoy 1.40 gives them; a histogram among them does no harm."""
    stats = [
        {"name": "cluster_manager.cds.version_text", "value": "v"},
        {"name": "cluster_manager.cds.update_rejected", "value": 2},
        {"histograms": {}},
    ]
    found = await read_config(router({"stats": stats}), URL)
    assert (found.versions, found.rejected) == ({"cluster_manager.cds": "v"}, {"cluster_manager.cds": 2})


async def test_lanes_are_read_with_their_refusals_and_warm_ups() -> None:
    """A provider's words are cut to what a condition can show; a router of an older version warms nothing."""
    lane = {"lane": "a-1", "circuit": "HalfOpen", "failures": 1, "openForMs": 2, "ramping": True}
    refusal = {"status": 401, "message": "x" * 999, "atMs": 7}
    warm = {"inFlight": 3, "lastMinute": 9, "warmedMs": 12, "warmFault": "y" * 999}
    lanes = [{**lane, **warm, "refusal": refusal}, {**lane, **warm, "refusal": None, "warmFault": None}]
    found = await read_lanes(router({"lanes": [*lanes, {**lane, "refusal": None}]}), URL)
    assert found[0].refusal == Refusal(401, "x" * 300, 7)
    assert (found[0].warmed_ms, found[0].warm_fault) == (12, "y" * 300)
    assert (found[1].circuit.value, found[1].refusal, found[1].warm_fault) == ("HalfOpen", None, None)
    assert (found[2].warmed_ms, found[2].warm_fault) == (0, None)


@pytest.mark.parametrize("read", [read_config, read_lanes])
@pytest.mark.parametrize(
    "answer", ["<html>", [], {"stats": 1, "lanes": [1]}, {"lanes": [{"lane": "a", "circuit": "Bent"}]}]
)
async def test_nonsense_is_no_answer(read: Any, answer: Any) -> None:
    """Whatever answers at that address, the caller only hears that the router did not."""
    with pytest.raises(ScrapeError):
        await read(router(answer), URL)


async def test_an_error_is_no_answer() -> None:
    """Neither is a status that is not 200, nor a connection that is refused."""
    with pytest.raises(ScrapeError):
        await read_metrics(router("", 503), URL)

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ScrapeError):
        await read_metrics(httpx.AsyncClient(transport=httpx.MockTransport(refuse)), URL)


def test_addresses_of_both_families_make_urls() -> None:
    """IPv6 in brackets."""
    assert base_url(RouterPod("ai", "a", "10.0.0.1", "")) == URL
    assert base_url(RouterPod("ai", "a", "fd00::1", "")) == "http://[fd00::1]:9902"
