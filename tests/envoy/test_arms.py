"""The arms of a rollout at a real router: shares, sticky keys, and what is counted of first attempts."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.asking import ask, post
from harness.manifests import Manifest, group, key, running
from harness.providers import Trio
from harness.router import Router, Serve, eventually
from turnout.decide.canary.sequences import Share, share_bounds
from turnout.decide.evidence import Arm, ArmCounts
from turnout.observe.arms import arm_counts
from turnout.observe.scrape import METRICS, samples

KEYS = [f"team-{n}" for n in range(60)]
PRICE = {"input": "1", "output": "2"}
QUICK = {"circuit": {"failures": 20, "recovery": "1h"}}
PATIENT = {**QUICK, "circuit": {"failures": 1000}}
LONG = {"timeouts": {"firstToken": "20s", "request": "20s"}}


def world(trio: Trio, *rollouts: Manifest, **spec: object) -> list[Manifest]:
    """A chain of three with keys."""
    one, two, three = ({**m, "price": PRICE} for m in trio.models)
    return [group("assistant", one, two, three, **spec), *map(key, ("app", *KEYS)), *trio.secrets, *rollouts]


def counted(router: Router, arm: Arm, *, period: int = 1) -> ArmCounts:
    """What the router has counted for an arm."""
    found = arm_counts(samples(router.status.get(METRICS).text))
    return found.get(("assistant", f"run1-{period}", arm), ArmCounts())


@pytest.mark.parametrize("weight", [5, 50, 95])
def test_first_attempts_are_shared_out_as_the_weight_says(serve: Serve, trio: Trio, weight: int) -> None:
    """Requests and counts agree to the last one, on two workers."""
    router = serve(*world(trio, running(weight), **PATIENT), workers=2)
    http = router.http()
    models = Counter(post(http).headers["x-turnout-model"] for _ in range(400))
    bounds = share_bounds(Share(models["two"], 400), 1e-6)
    assert bounds.low <= weight / 100 <= bounds.high
    assert models["three"] == 0
    canary, baseline = counted(router, Arm.CANARY), counted(router, Arm.BASELINE)
    assert (canary.results["ok"], baseline.results["ok"]) == (models["two"], models["one"])
    assert canary.pending == baseline.pending == 0
    assert canary.priced == models["two"]
    assert canary.tokens > 0
    assert canary.nano_usd > 0
    eventually(lambda: counted(router, Arm.CANARY).took.count == models["two"], within=15)
    took = counted(router, Arm.CANARY)
    assert took.took.sum_ms**2 <= took.took_squared * models["two"], "the mean's square is no more than that of squares"


def test_what_a_canary_fails_is_made_good_and_counted_once(serve: Serve, trio: Trio) -> None:
    """First attempts only: the primary's answers in its place are nobody's evidence; and no request fails."""
    router = serve(*world(trio, running(100), **PATIENT))
    trio.two.mode("500")
    answers = [ask(router.sdk()) for _ in range(10)]
    assert {a.model for a in answers} == {"one"}
    assert counted(router, Arm.CANARY) == ArmCounts({"server_error": 10})
    assert counted(router, Arm.BASELINE) == ArmCounts()


def test_a_canary_whose_circuit_opens_counts_as_failing(serve: Serve, trio: Trio) -> None:
    """Its provider is not asked any more, and evidence goes on."""
    router = serve(*world(trio, running(100), **QUICK))
    trio.two.mode("500")
    for _ in range(30):
        assert ask(router.sdk()).model == "one"
    assert counted(router, Arm.CANARY).results == {"server_error": 20, "open": 10}


def test_a_primary_that_is_down_sends_nobody_to_the_canary_but_its_own(serve: Serve, trio: Trio) -> None:
    """A canary that is no fallback gets its weight and no more; the next of the chain gets the rest."""
    one, two, three = trio.models
    chain = group("assistant", one, {**two, "fallback": False}, three, **QUICK)
    router = serve(chain, key("app"), *trio.secrets, running(5))
    trio.one.mode("500")
    models = Counter(ask(router.sdk()).model for _ in range(200))
    assert set(models) == {"two", "three"}
    assert models["two"] == counted(router, Arm.CANARY).results["ok"] < 40
    baseline = counted(router, Arm.BASELINE).results
    assert baseline["server_error"] == 20
    assert baseline["open"] == models["three"] - 20


def test_a_sticky_key_keeps_its_arm_and_more_weight_only_takes_keys_in(serve: Serve, trio: Trio) -> None:
    """Over publications, periods and workers."""
    router = serve(*world(trio, running(25, sticky="Key"), **PATIENT), workers=2)

    def canaries() -> set[str]:
        arms = {k: {post(router.http(k)).headers["x-turnout-model"] for _ in range(3)} for k in KEYS}
        assert all(len(models) == 1 for models in arms.values())
        return {k for k, models in arms.items() if models == {"two"}}

    before = canaries()
    router.publish(*world(trio, running(60, sticky="Key", period=2), **PATIENT))
    after = canaries()
    assert before < after
    assert 0 < len(before) < len(after) < len(KEYS)


def test_a_request_counts_for_the_period_in_which_it_was_drawn(serve: Serve, trio: Trio) -> None:
    """Though its answer ends in the next one, in which others have been counted."""
    router = serve(*world(trio, running(100), **LONG), workers=2)
    trio.two.mode("slow:4", times=1)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(post, router.http())
        eventually(lambda: len(trio.two.seen) == 1)
        assert counted(router, Arm.CANARY) == ArmCounts(pending=1)
        router.publish(*world(trio, running(100, period=2), **LONG))
        assert post(router.http()).headers["x-turnout-model"] == "two"
        assert counted(router, Arm.CANARY, period=2).results == {"ok": 1}
        assert not slow.done()
        assert slow.result().headers["x-turnout-model"] == "two"
    drawn = counted(router, Arm.CANARY)
    assert (drawn.results, drawn.pending) == ({"ok": 1}, 0)
    assert drawn.took.sum_ms > 3_000
    assert counted(router, Arm.CANARY, period=2).results == {"ok": 1}


def test_streams_tell_their_first_content_and_client_mistakes_are_no_evidence(serve: Serve, trio: Trio) -> None:
    """What is the client's fault is counted, and left out of every figure."""
    router = serve(*world(trio, running(100), **PATIENT))
    assert ask(router.sdk(), stream=True).model == "two"
    eventually(lambda: counted(router, Arm.CANARY).first_token.count == 1, within=15)
    trio.two.mode("400")
    assert post(router.http()).status_code == 400
    found = counted(router, Arm.CANARY)
    assert (found.results, found.requests, found.errors) == ({"ok": 1, "client_error": 1}, 1, 0)


def test_who_has_no_room_in_its_limit_is_drawn_and_no_evidence(serve: Serve, trio: Trio) -> None:
    """It is drawn before its key's limits are asked; nor is it pending for ever."""
    limited = key("narrow", limits={"requestsPerMinute": 2})
    router = serve(*world(trio, limited, running(100), **PATIENT))
    codes = [post(router.http("narrow")).status_code for _ in range(5)]
    assert codes == [200, 200, 429, 429, 429]
    found = counted(router, Arm.CANARY)
    assert (found.results, found.pending, found.requests) == ({"ok": 2, "unasked": 3}, 0, 2)


def test_a_rollout_that_is_over_draws_and_counts_nothing(serve: Serve, trio: Trio) -> None:
    """A router goes back to its primary without a restart; and a model that is asked for by name is no evidence."""
    router = serve(*world(trio, running(100), **PATIENT))
    assert ask(router.sdk(), "one").model == "one"
    assert ask(router.sdk()).model == "two"
    router.publish(*world(trio, **PATIENT))
    assert ask(router.sdk()).model == "one"
    assert counted(router, Arm.CANARY).drawn == 1
    assert counted(router, Arm.BASELINE).drawn == 0
