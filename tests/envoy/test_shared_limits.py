"""Limits of a key over several routers: split by Envoy's local cluster, or counted by Envoy's rate limit service."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from harness.asking import ask, post
from harness.fixtures import leave_out
from harness.manifests import group, key
from harness.nameserver import NameServer, resolving_by
from harness.packages import HarnessError
from harness.providers import Trio
from harness.ratelimits import RateLimits, seconds_left
from harness.router import Router, eventually
from turnout.xds.limits import RateLimitService, Sharing

PEERS = "peers.test"
ADDRESSES = ["127.0.1.1", "127.0.1.2"]
LIMITS = {
    "requests": {"requestsPerMinute": 10},
    "tokens": {"tokensPerMinute": 10_000},
    "pinned": {"requestsPerMinute": 10},
    "scaled": {"requestsPerMinute": 10},
    "one": {"requestsPerMinute": 1},
    "large": {"tokensPerMinute": 1000},
    "free": {},
}
Pair = tuple[Router, Router]


def two(folder: Path, names: NameServer, trio: Trio, sharing: Sharing) -> Iterator[Pair]:
    """Two routers of one namespace, each with its own files."""
    keys = [key(name, **({"limits": limits} if limits else {})) for name, limits in LIMITS.items()]
    routers = []
    try:
        for name in ("a", "b"):
            (folder / name).mkdir()
            router = Router(folder / name, before=resolving_by(names, folder / name), sharing=sharing)
            routers.append(router.start(group("assistant", trio.one.manifest), *keys, *trio.secrets))
        yield routers[0], routers[1]
    finally:
        for router in routers:
            router.stop()


def counted(routers: Pair, peers: int) -> None:
    """Wait until each counts so many routers."""
    stat = "cluster.peers.membership_total"
    eventually(lambda: all(r.stats(stat).get(stat) == peers for r in routers), within=20)


@pytest.fixture
def split(names: NameServer, trio: Trio, tmp_path: Path) -> Iterator[Pair]:
    """Two routers that know of each other by name."""
    names.addresses[PEERS] = ADDRESSES
    for routers in two(tmp_path, names, trio, Sharing(PEERS)):
        counted(routers, 2)
        yield routers


def spread(routers: Pair, name: str, count: int, **fields: object) -> Counter[int]:
    """So many calls with that key, to one router and the other."""
    clients = [router.http(name) for router in routers]
    return Counter(post(clients[n % 2], **fields).status_code for n in range(count))


def test_routers_hold_a_limit_together(split: Pair, trio: Trio) -> None:
    """Half of it at each, requests and tokens; clients are told the whole; a key without limits meets none."""
    assert spread(split, "requests", 24) == {200: 10, 429: 14}
    assert spread(split, "tokens", 30, max_tokens=900) == {200: 10, 429: 20}
    assert spread(split, "free", 20) == {200: 20}
    assert len(trio.one.seen) == 40
    answer = post(split[0].http("scaled"))
    assert answer.headers["x-ratelimit-limit-requests"] == "10"
    assert answer.headers["x-ratelimit-remaining-requests"] == "8", "as if the other router were used as much"


def test_a_client_of_one_router_has_its_part(split: Pair) -> None:
    """Five of ten; then the SDK is told to wait, as for any limit."""
    client = split[0].sdk("pinned")
    for _ in range(5):
        ask(client)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client)
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 12
    assert post(split[1].http("pinned")).status_code == 200


def test_what_no_part_can_hold_is_not_asked_again(split: Pair) -> None:
    """A limit below the number of routers, a request above its part: refused by a full bucket, and clients told so."""
    for answer in (post(split[0].http("one")), post(split[0].http("large"), max_tokens=600)):
        assert answer.status_code == 429
        assert answer.headers["x-should-retry"] == "false"
        assert "retry-after" not in answer.headers
    assert post(split[0].http("large"), max_tokens=400).status_code == 200


def test_parts_follow_the_number_of_routers(split: Pair, names: NameServer) -> None:
    """A router that is left alone has the whole limit; what is used stays used."""
    assert spread(split, "scaled", 24)[200] == 10
    names.addresses[PEERS] = ADDRESSES[:1]
    counted(split, 1)
    passed = Counter(post(split[0].http("requests")).status_code for _ in range(15))
    assert passed == {200: 10, 429: 5}
    assert spread(split, "scaled", 4)[200] <= 4, "only what has come back meanwhile"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RateLimits]:
    """The real rate limit service with a real Redis."""
    try:
        service = RateLimits(tmp_path)
    except HarnessError as error:
        leave_out(f"left out: {error}")
    yield service
    service.kill()


@pytest.fixture
def exact(service: RateLimits, names: NameServer, trio: Trio, tmp_path: Path) -> Iterator[Pair]:
    """Two routers that ask it."""
    yield from two(tmp_path, names, trio, Sharing(PEERS, RateLimitService("127.0.0.1", service.port, "ai")))


def test_the_rate_limit_service_counts_for_all_routers(exact: Pair, service: RateLimits) -> None:
    """Exactly the limit over both, in whatever proportion; a request of any size that fits into it. Without the service
    requests go on, and each router still holds to the limit by itself.
    """
    eventually(lambda: seconds_left() > 15, within=20)
    assert spread(exact, "requests", 24) == {200: 10, 429: 14}
    assert Counter(post(exact[0].http("pinned")).status_code for _ in range(8)) == {200: 8}
    assert Counter(post(exact[1].http("pinned")).status_code for _ in range(8)) == {200: 2, 429: 6}
    refused = post(exact[1].http("pinned"))
    assert refused.headers["x-ratelimit-limit-requests"] == "10"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 0 <= int(refused.headers["retry-after"]) - seconds_left() <= 2
    assert post(exact[0].http("one")).status_code == 200
    assert post(exact[1].http("one")).status_code == 429
    assert spread(exact, "large", 4, max_tokens=600) == {200: 1, 429: 3}
    service.kill()
    # Ten leave so little of a minute's tokens that an eleventh has room in 5 s, not sooner.
    assert spread(exact, "tokens", 30, max_tokens=970) == {200: 20, 429: 10}
