"""Capacity: what is above it goes to the next model, without an error and without opening a circuit."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.asking import post
from harness.manifests import group, key
from harness.providers import Trio
from harness.router import Router, Serve, eventually


@pytest.fixture(scope="module")
def router(serve: Serve) -> Router:
    """Two workers, which must count together."""
    return serve(workers=2)


def answers(router: Router, calls: int, at_once: int) -> list[httpx.Response]:
    """So many calls of the group, so many at a time, on as many connections."""
    http = router.http()
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda _: post(http), range(calls)))


def test_only_so_many_are_in_flight_and_the_rest_spills_in_order(router: Router, trio: Trio) -> None:
    """Three at the first, two at the second, all else at the third; nobody sees an error, no circuit opens."""
    for provider in trio:
        provider.mode("slow:1.5")  # all twelve are there before the first has its answer
    models = [
        {**trio.one.manifest, "capacity": {"concurrentRequests": 3}},
        {**trio.two.manifest, "capacity": {"concurrentRequests": 2}},
        trio.three.manifest,
    ]
    router.publish(group("assistant", *models), key("app"), *trio.secrets)
    found = answers(router, 12, 12)
    assert {a.status_code for a in found} == {200}
    assert Counter(a.headers["x-turnout-model"] for a in found) == {"one": 3, "two": 2, "three": 7}
    assert {a.headers["x-turnout-attempts"] for a in found} == {"1"}, "to spill is no failed attempt"
    assert {lane["circuit"] for lane in router.lanes().values()} == {"Closed"}
    assert router.metrics().sum("turnout_spilled_total", group="assistant", model="one") == 9
    eventually(lambda: {lane["inFlight"] for lane in router.lanes().values()} == {0})


def test_a_rate_holds_over_all_workers(router: Router, trio: Trio) -> None:
    """600 a minute: ten at once, then one each 100 ms; what is above goes on."""
    models = [{**trio.one.manifest, "upstreamName": "rated", "capacity": {"requestsPerMinute": 600}}, trio.two.manifest]
    router.publish(group("assistant", *models), key("app"), *trio.secrets)
    found = answers(router, 40, 4)
    took = sum(a.elapsed.total_seconds() for a in found) / 4
    first = sum(a.headers["x-turnout-model"] == "one" for a in found)
    assert {a.status_code for a in found} == {200}
    assert 10 <= first <= 11 + 2 * took * 10
    assert len(trio.one.seen) == first


def test_when_nobody_has_room_the_client_is_told_to_come_back(router: Router, trio: Trio) -> None:
    """429 in OpenAI's words with Retry-After, from us: no provider is asked more than it takes."""
    trio.one.mode("slow:1")  # so are these five
    model = {**trio.one.manifest, "upstreamName": "few", "capacity": {"concurrentRequests": 1}}
    router.publish(group("assistant", model), key("app"), *trio.secrets)
    refused = [a for a in answers(router, 5, 5) if a.status_code != 200]
    assert [a.status_code for a in refused] == [429] * 4
    assert {a.json()["error"]["code"] for a in refused} == {"rate_limit_exceeded"}
    assert {a.headers["retry-after"] for a in refused} == {"1"}
    assert len(trio.one.seen) == 1


def test_a_hang_up_gives_the_room_back(router: Router, trio: Trio) -> None:
    """A client that goes away in the middle leaves nothing in flight."""
    trio.one.mode("slow:5")
    model = {**trio.one.manifest, "upstreamName": "left", "capacity": {"concurrentRequests": 1}}
    router.publish(group("assistant", model, trio.two.manifest), key("app"), *trio.secrets)
    with pytest.raises(httpx.ReadTimeout):
        post(router.http(timeout=0.3))
    trio.one.reset()
    eventually(lambda: router.lanes()["left"]["inFlight"] == 0)
    assert post(router.http()).headers["x-turnout-model"] == "one"
