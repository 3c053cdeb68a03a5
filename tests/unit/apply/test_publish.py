"""Publishing: poke, read back, poke again; with routers that are quick, late, refusing, silent, or not there."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from turnout.apply import publish
from turnout.apply.kube import Kube
from turnout.apply.publish import Publisher, rejection
from turnout.errors import ClusterError, ScrapeError
from turnout.infra.observation import ConfigState
from turnout.infra.pods import RouterPod

FILES = ("cds", "rds", "keys", "front")
PODS = tuple(RouterPod("ai", name, f"10.0.0.{n}", name) for n, name in enumerate(("a", "b"), 1))


class World:
    """Two routers. after_pokes: how many pokes a router needs until it runs the new version."""

    def __init__(self, **after_pokes: int) -> None:
        self.after_pokes = after_pokes
        self.pokes: dict[str, list[str]] = {"a": [], "b": []}
        self.rejecting: set[str] = set()
        self.silent: set[str] = set()
        self.refused_before = 0
        self.logs = ["Filesystem config update rejected: unknown field 'sk-secret-1'"]
        """What a pod's log says at each look; at later ones, the last."""
        self.looks = 0
        self.pods = PODS
        self.publisher = Publisher(cast("Kube", self), self.read, lambda: self.pods)

    async def annotate(self, _kind: Any, _namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        """The kubelet's cue."""
        if name in self.silent:
            raise ClusterError("gone")
        self.pokes[name].append(annotations["turnout.dev/config"])

    async def log(self, *_: Any, lines: int) -> str:
        """The pod's log."""
        self.looks += 1
        return f"[{lines}] {self.logs[min(self.looks, len(self.logs)) - 1]}"

    async def read(self, pod: RouterPod) -> ConfigState:
        """What a router runs."""
        if pod.name in self.silent:
            raise ScrapeError("silent")
        new = len(self.pokes[pod.name]) >= self.after_pokes[pod.name]
        refused = new and pod.name in self.rejecting
        versions = dict.fromkeys(FILES, "new" if new else "old")
        if refused:
            versions["front"] = "old"
        return ConfigState(versions, {"front": self.refused_before + refused})

    async def settle(
        self, *, written: bool = True, interrupted: Callable[[], bool] = lambda: False, version: str = "new"
    ) -> Any:
        """Publish a version."""
        await self.publisher.begin(version)
        hide = frozenset({"sk-secret-1"})
        return await self.publisher.settle(version, written=written, interrupted=interrupted, hide=hide)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr(publish, "POKES_S", tuple(s / 100 for s in publish.POKES_S))
    monkeypatch.setattr(publish, "READ_AGAIN_S", tuple(s / 100 for s in publish.READ_AGAIN_S))
    monkeypatch.setattr(publish, "GIVE_UP_S", 0.1)
    monkeypatch.setattr(publish, "LOOK_S", 0.001)


async def test_one_poke_is_enough_where_the_kubelet_is_quick() -> None:
    """Each pod is poked once, and both run it."""
    world = World(a=1, b=1)
    progress = await world.settle()
    assert progress.done
    assert [len(pokes) for pokes in world.pokes.values()] == [1, 1]


async def test_a_pod_that_is_not_ready_is_told_and_not_waited_for() -> None:
    """It may still serve connections that it has, with a key that was revoked just now."""
    world = World(a=1, b=2)
    world.pods = (PODS[0], replace(PODS[1], ready=False))
    progress = await world.settle()
    assert (progress.done, progress.routers) == (True, 1)
    assert [len(pokes) for pokes in world.pokes.values()] == [1, 1]


async def test_a_pod_that_took_the_older_secret_is_poked_again() -> None:
    """Only that one, and never with the same annotation: it would be no change."""
    world = World(a=1, b=3)
    assert (await world.settle()).done
    assert len(world.pokes["a"]) == 1
    assert len(set(world.pokes["b"])) == 3


async def test_routers_that_run_it_already_are_left_alone() -> None:
    """After a restart of the operator nothing is written to pods."""
    world = World(a=0, b=0)
    assert (await world.settle(written=False)).done
    assert world.pokes == {"a": [], "b": []}


async def test_a_router_that_stays_behind_is_reported_in_time() -> None:
    """The wait is bounded; how far it came is said."""
    progress = await World(a=1, b=99).settle()
    assert (progress.routers, progress.running, progress.done) == (2, 1, False)


async def test_a_silent_router_is_not_taken_for_done() -> None:
    """No answer is no proof; and its failing poke stops nobody."""
    world = World(a=1, b=1)
    world.silent = {"b"}
    progress = await world.settle()
    assert (progress.running, progress.done) == (1, False)


async def test_a_refusal_is_quoted_without_secrets() -> None:
    """Envoy's own words, from the pod's log."""
    world = World(a=1, b=1)
    world.rejecting = {"b"}
    for _ in range(2):  # also when it is looked at again
        progress = await world.settle()
        assert progress.rejection == "pod b: unknown field '***'"
        assert not progress.done


async def test_a_log_that_does_not_say_why_yet_is_read_again() -> None:
    """The counter can be read before what Envoy printed has come to the log; the words are kept for good."""
    world = World(a=1, b=1)
    world.rejecting = {"b"}
    world.logs = ["", "nothing of interest", "x rejected: bad certificate"]
    assert (await world.settle()).rejection == "pod b: bad certificate"
    assert world.looks == 3


async def test_a_log_that_never_says_why_is_read_for_a_second() -> None:
    """Not longer; and not again at all if there is something newer to do."""
    assert 0.5 <= sum(publish.READ_AGAIN_S) * 100 <= 1.5
    world = World(a=1, b=1)
    world.rejecting, world.logs = {"b"}, [""]
    assert (await world.settle()).rejection == "pod b: its log does not say why"
    assert world.looks == 1 + len(publish.READ_AGAIN_S)

    def interrupted() -> bool:
        return world.looks > 0  # it comes while the log is read

    world.looks = 0
    assert (await world.settle(interrupted=interrupted)).rejection == "pod b: its log does not say why"
    assert world.looks == 1


async def test_old_refusals_say_nothing_about_this_version() -> None:
    """Envoy's counters never go back, and the operator may be younger than they are."""
    world = World(a=1, b=2)
    world.refused_before = 3
    assert (await world.settle()).done


async def test_an_old_refusal_explains_a_router_that_stays_behind() -> None:
    """The operator that saw it happen may have died since."""
    world = World(a=1, b=1)
    world.rejecting = {"b"}
    world.pokes = {"a": ["x"], "b": ["x"]}
    progress = await world.settle(written=False)
    assert progress.suspicion == "pod b: unknown field '***'"
    assert progress.rejection is None  # no group is held on the ground of what may be over


async def test_nothing_is_done_without_routers() -> None:
    """No router is not "every router"."""
    world = World()
    world.pods = ()
    progress = await world.settle()
    assert (progress.routers, progress.done) == (0, False)


async def test_news_interrupt_the_wait() -> None:
    """A newer change never waits for an older one to settle."""
    publish_time = asyncio.get_running_loop().time()
    progress = await World(a=1, b=99).settle(interrupted=lambda: True)
    assert not progress.done
    assert asyncio.get_running_loop().time() - publish_time < 0.05


def test_the_last_refusal_counts() -> None:
    """A log without one says nothing."""
    assert rejection("x rejected: first\ny rejected: last one\nz", []) == "last one"
    assert rejection("nothing", []) == ""
