"""Rollouts in a real cluster, under traffic: one that is promoted and adopted, and those that go back for a reason."""

import asyncio
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from harness.cluster import Object, condition
from harness.world import PORT, Calls, World, ask

LATENCY, JITTER = "60ms", "0.4"
PAUSE_S = 0.02
"""Between two calls: about forty a second, with the time that starting one takes."""
STEPS = [{"weight": 5, "hold": "12s"}, {"weight": 25, "hold": "12s"}, {"weight": 50, "hold": "12s"}, {"weight": 100}]
GATES = {
    "errorRate": {"maxIncrease": "0.05"},
    "latency": {"maxMeanRatio": "1.5", "maxP95Ratio": "2.5"},
    "cost": {"maxRatio": "1.5"},
    "minRequests": 20,
}
LENIENT = {**GATES, "latency": {"maxMeanRatio": "3", "maxP95Ratio": "5"}}
"""At 100 % a canary is compared with what was before, when the machine may have had less to do."""
MEAN_ONLY = {**GATES, "latency": {"maxMeanRatio": "1.5"}}
"""What is slow on average is slow at its p95, too, and which of the two is told first is a matter of luck."""
GROSS = [{"weight": 50, "hold": "1h"}, {"weight": 100}]
ROUNDS = 6
UNDER_WAY_S = 5.0
"""Calls that a canary got before routers went back are over then. The slow one takes a second."""


class Traffic:
    """Calls without pause, from a thread, until the end of the test."""

    def __init__(self, here: World) -> None:
        self.calls = Calls()
        self._here, self._over = here, threading.Event()
        self._thread = threading.Thread(target=lambda: here.run(self._make))

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        print(f"traffic: {self.calls}")

    async def _make(self, client: openai.AsyncOpenAI) -> None:
        tasks: set[asyncio.Task[None]] = set()
        while not self._over.is_set():
            tasks = {task for task in tasks if not task.done()}
            tasks.add(asyncio.create_task(ask(client, self.calls, stream=len(tasks) % 4 == 0)))
            await asyncio.sleep(PAUSE_S)
        await asyncio.gather(*tasks)


@pytest.fixture(scope="module")
def stage(installed: Any) -> Iterator[World]:
    """A namespace whose providers answer as unevenly as real ones."""
    here = World(installed, "canary")
    here.start(provider_flags=("--latency", LATENCY, "--jitter", JITTER, "--chunk-delay", "1ms"))
    yield here
    installed.kubectl("delete", "namespace", "canary", "--wait=false")


@pytest.fixture
def here(stage: World) -> Iterator[World]:
    """The namespace, without rollouts; what went wrong is printed."""
    mode(stage, "second", "ok")
    stage.reset()
    yield stage
    stage.cluster.kubectl("delete", "canaryrollouts", "--all", "-n", stage.namespace)


def mode(here: World, provider: str, value: str) -> None:
    """How a provider answers from now on."""
    pod = here.cluster.get("pod", provider, here.namespace)
    assert pod is not None
    here.http("GET", f"http://{pod['status']['podIP']}:{PORT}/ctl", params={"mode": value}).raise_for_status()


def roll_out(here: World, name: str, **spec: Any) -> None:
    """Write a rollout, by default of the second model."""
    body = {"modelGroup": "assistant", "model": "second", "steps": STEPS, "gates": GATES, **spec}
    here.cluster.apply(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "CanaryRollout",
            "metadata": {"name": name},
            "spec": body,
        },
        namespace=here.namespace,
    )


def status(here: World, name: str) -> Object:
    """Its status as it is now."""
    found = here.cluster.get("canaryrollout", name, here.namespace) or {}
    return dict(found.get("status", {}))


def wait_for(here: World, name: str, check: Callable[[Object], Any], what: str, seconds: float = 90) -> Object:
    """The first status of which this is true."""

    def fits() -> Object | None:
        found = status(here, name)
        return found if found and check(found) else None

    try:
        return dict(here.cluster.wait_for(fits, what, seconds))
    except AssertionError:
        print(json.dumps({k: v for k, v in status(here, name).items() if k != "ledger"}, indent=1))
        raise


def events(here: World, name: str) -> list[str]:
    """Reasons of its Events so far, sorted."""
    selector = f"involvedObject.kind=CanaryRollout,involvedObject.name={name}"
    said = here.cluster.kubectl("get", "events", "-n", here.namespace, f"--field-selector={selector}", "-o", "json")
    return sorted(event["reason"] for event in json.loads(said)["items"])


def share_is_right(found: Object) -> bool:
    """Whether there is a measured share, and the wanted one lies in its interval."""
    weight = found["weight"]
    if "observed" not in weight or weight.get("applied") != weight["desired"]:
        return False
    low, high = float(weight["observedLow"]), float(weight["observedHigh"])
    assert low <= weight["desired"] <= high, weight
    return not any(c["type"] == "WeightOff" for c in found["conditions"])


def test_a_good_canary_is_promoted_and_adopted_and_no_call_fails(here: World) -> None:
    """5, 25, 50, 100 %; the group's own edit makes it permanent; Events tell each decision."""
    with Traffic(here) as traffic:
        roll_out(here, "good", gates=LENIENT)
        for weight in (5, 25, 50):

            def there(found: Object, weight: int = weight) -> bool:
                return found["weight"]["desired"] == weight and share_is_right(found)

            found = wait_for(here, "good", there, f"{weight} % observed")
            print(json.dumps(found["weight"]))
            assert condition({"status": found}, "Ready") == "False"
            assert condition({"status": found}, "Reconciling") == "True"
        found = wait_for(here, "good", lambda s: s["phase"] == "Promoted", "promoted")
        assert found["weight"] == {"desired": 100, "applied": 100, **found["weight"]}
        here.cluster.kubectl("wait", "--for=condition=Ready", "canaryrollout/good", "-n", here.namespace)
        here.cluster.apply(here.group(("second", "primary", "third")), namespace=here.namespace)
        found = wait_for(here, "good", lambda s: s["reason"] == "Adopted", "adopted")
        time.sleep(1)
    assert traffic.calls.errors + traffic.calls.cut == []
    decided = [(d["action"], d.get("weight")) for d in reversed(found["decisions"])]
    steps = [("Start", 5), ("Advance", 25), ("Advance", 50), ("Advance", 100), ("Promote", 100), ("Promote", 0)]
    assert [d for d in decided if d[0] != "Hold"] == steps
    actions = sorted(action for action, _ in decided)  # Events come after the status that decides
    here.cluster.wait_for(lambda: events(here, "good") == actions, f"an Event for each of {actions}")


@pytest.mark.parametrize(
    ("name", "model", "trouble", "gate"),
    [
        ("slow", "second", "slow:1", "MeanLatency"),
        ("dear", "second", "", "Cost"),
        ("failing", "third", "500", "ErrorRate"),  # its circuit stays open for a while
    ],
)
def test_a_bad_canary_goes_back_for_its_reason_and_no_call_fails(
    here: World, name: str, model: str, trouble: str, gate: str
) -> None:
    """Programs see nothing of it; the same spec is not tried again."""
    if trouble:
        mode(here, model, trouble)
    else:
        group = here.group()
        group["spec"]["models"][1]["price"] = {"input": "3", "output": "6"}
        here.cluster.apply(group, namespace=here.namespace)
        here.cluster.wait_for(here.ready, "the price", 60)
    with Traffic(here) as traffic:
        roll_out(here, name, model=model, steps=STEPS[1:], gates=MEAN_ONLY if gate == "MeanLatency" else GATES)
        found = wait_for(here, name, lambda s: s["phase"] == "RolledBack", "rolled back")
        wait_for(here, name, lambda s: s["weight"].get("applied") == 0, "weight 0 on all routers")
        time.sleep(UNDER_WAY_S)
        back = traffic.calls.answered[model]
        time.sleep(2)
    assert traffic.calls.errors + traffic.calls.cut == []
    decision = found["decisions"][0]
    assert (decision["action"], decision["reason"], decision["weight"]) == ("Rollback", "Breach", 0)
    [breached] = [one["gate"] for one in decision["analysis"] if one["verdict"] == "Breach"]
    assert breached == gate
    assert condition({"status": found}, "Stalled") == "True"
    evidence = {arm["arm"]: arm["requests"] for arm in found["evidence"]}
    print(f"{name}: back after {evidence}: {decision['message']}")
    assert traffic.calls.answered[model] == back, "it still gets calls"
    assert status(here, name)["phase"] == "RolledBack"


def falls(here: World) -> list[float]:
    """Seconds of each fall to weight 0 so far, as the operator's log tells them."""
    text = here.cluster.kubectl("logs", "deployment/turnout-operator", "-n", "turnout-system", "--tail=-1")
    told = [json.loads(line)["message"] for line in text.splitlines() if "no router draws for the canary" in line]
    return [float(words.split(", ")[1].split(" s ")[0]) for words in told]


def test_from_the_breach_to_weight_0_on_all_routers(here: World) -> None:
    """Two routers; measured by the operator, from its decision to when every router was seen to run it."""
    before = falls(here)
    mode(here, "third", "500")
    with Traffic(here) as traffic:
        for number in range(ROUNDS):
            roll_out(here, f"gross-{number}", model="third", steps=GROSS)
            found = wait_for(here, f"gross-{number}", lambda s: s["phase"] == "RolledBack", "rolled back")
            assert found["weight"]["desired"] == 0
    took = falls(here)[len(before) :]
    print(f"breach to weight 0: p50 {statistics.median(took):.2f} s, max {max(took):.2f} s of {len(took)}")
    assert traffic.calls.errors + traffic.calls.cut == []
    assert len(took) == ROUNDS
