"""Limits of a key over two routers of a real cluster, which count each other by the cluster's DNS."""

import time
from collections import Counter

from harness.cluster import condition
from harness.world import World, key

ROUTER = "turnout-router"
CALL = {"model": "assistant", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 1}
"""A short answer: the calls must be over before the limit lets another one in, after twelve seconds."""


def counted(here: World) -> set[int]:
    """How many routers the routers count."""
    stats = {"filter": "^cluster.peers.membership_total"}
    pods = [f"http://{pod['status']['podIP']}:9902/stats" for pod in here.routers()]
    return {int(here.http("GET", pod, params=stats).text.split()[-1]) for pod in pods}


def test_routers_hold_a_limit_together_and_count_a_new_one(here: World) -> None:
    """Ten a minute over both; a third is counted within seconds; a limit that leaves nothing is told in status."""
    cluster, namespace = here.cluster, here.namespace
    for name, limit in (("ten", 10), ("one", 1)):
        cluster.apply(key(name, limits={"requestsPerMinute": limit}), namespace=namespace)
    token = cluster.wait_for(lambda: here.secret("ten").get("OPENAI_API_KEY"), "the key's Secret")
    cluster.wait_for(lambda: counted(here) == {2}, "two routers counted by both", 30)
    headers = {"authorization": f"Bearer {token}"}
    urls = [f"http://{pod['status']['podIP']}:8080/v1/chat/completions" for pod in here.routers()]
    passed = Counter(here.http("POST", urls[n % 2], headers=headers, json=CALL).status_code for n in range(24))
    assert passed == {200: 10, 429: 14}
    few = cluster.get("scopedkey", "one", namespace) or {}
    assert condition(few, "LimitBelowRouters") == "True"
    cluster.kubectl("scale", "deployment", ROUTER, "-n", namespace, "--replicas=3")
    try:
        cluster.wait_for(lambda: len(here.routers()) == 3, "three routers", 60)
        began = time.monotonic()
        cluster.wait_for(lambda: counted(here) == {3}, "three routers counted by all", 30)
        print(f"a third router was counted by all {time.monotonic() - began:.1f} s after it was ready")
    finally:
        cluster.kubectl("scale", "deployment", ROUTER, "-n", namespace, "--replicas=2")
        cluster.wait_for(lambda: len(here.routers()) == 2, "two routers", 60)
