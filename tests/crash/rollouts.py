"""Rollouts whose operator is killed at each write, in several namespaces at a time, under traffic."""

import asyncio
import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from crash.admin import Object
from crash.disturbances import DISTURBANCES
from crash.lane import Lane
from crash.lanes import lanes
from crash.operators import Nursery
from harness.cluster import ApiServer
from harness.manifests import Manifest, group, key, model
from turnout.decide.canary.compact import from_line
from turnout.local.fakeprovider import FakeProvider, Options, parse

LANES = 6
KILLS = ("killed before", "killed after")
STEPS = [{"weight": 50, "hold": "1s"}, {"weight": 100}]
GATES = {"errorRate": {"maxIncrease": "0.1"}, "minRequests": 30}
"""So many requests that all of them failing is a breach before the step can end."""
GOOD, BAD = [("Start", 50), ("Advance", 100), ("Promote", 100)], [("Start", 50), ("Rollback", 0)]
PAUSE_S = 0.02
CALL = {"model": "assistant", "messages": [{"role": "user", "content": "Say hello."}]}


@dataclass(frozen=True)
class Killed:
    """One rollout. wrong: what was not as it must be; empty: nothing."""

    good: bool
    how: str
    what: str
    reached: bool
    wrong: str


@dataclass
class Rolled:
    """All of them, and the writes of one that nobody disturbs."""

    undisturbed: dict[bool, list[str]] = field(default_factory=dict)
    ends: list[Killed] = field(default_factory=list)

    def table(self) -> str:
        """For people."""
        lines = []
        for good, writes in self.undisturbed.items():
            lines.append(f"{'a good' if good else 'a failing'} canary: {len(writes)} writes")
            for how in KILLS:
                found = [end for end in self.ends if (end.good, end.how) == (good, how)]
                missed = sum(not end.reached for end in found)
                wrong = sum(bool(end.wrong) for end in found)
                lines.append(
                    f"  {how:14} {len(found):3} points: {len(found) - wrong} as they must; {missed} not reached"
                )
                lines += [f"    {end.what}: {_shortened(end.wrong)}" for end in found if end.wrong]
        return "\n".join(lines)


def _shortened(words: str) -> str:
    """What went wrong, and then the end of a log."""
    return words if len(words) <= 3000 else f"{words[:500]} … {words[-2500:]}"


class RolloutLane(Lane):
    """A namespace with a primary, a good canary and one that fails, and a program that calls without pause."""

    secrets = ("app",)
    patience_s = 240.0
    """A step lasts until it has its requests, and a busy machine makes few of them."""

    def __init__(self, api: ApiServer, nursery: Nursery, folder: Path, number: int) -> None:
        super().__init__(api, nursery, folder, number)
        self.programs = {}
        self.failed: list[str] = []
        self.rollouts = 0
        self.providers = {
            name: FakeProvider(Options(name, latency=0.005, chunk_delay=0.0)) for name in ("old", "good", "bad")
        }

    def documents(self) -> list[Manifest]:
        """A chain whose canaries are no fallbacks."""
        chain = [model(name, p.url, fallback=name == "old") for name, p in self.providers.items()]
        return [group("assistant", *chain), key("app")]

    async def start(self) -> None:
        """With providers and traffic."""
        for provider in self.providers.values():
            await provider.start()
        self.providers["bad"].control.set(parse("500"))
        await super().start()
        self._traffic = asyncio.create_task(self._call())

    async def stop(self) -> None:
        """End all of it."""
        self._traffic.cancel()
        await super().stop()
        for provider in self.providers.values():
            await provider.stop()

    async def roll(self, *, good: bool, how: str = "", what: str = "", nth: int = 0) -> Killed:
        """One rollout, whose operator is killed at the n-th of its writes of that kind."""
        await self.quiet()
        self.writes, self.failed = [], []
        name, reached = f"r{self.rollouts}", False
        self.rollouts += 1
        done = self.arm(what.format(name=name), nth, DISTURBANCES[how].act) if how else None
        spec = {"modelGroup": "assistant", "model": "good" if good else "bad", "steps": STEPS, "gates": GATES}
        document = {"apiVersion": "turnout.dev/v1alpha1", "kind": "CanaryRollout", "metadata": {"name": name}}
        await self.admin.create(f"canaryrollouts/{name}", {**document, "spec": spec})

        async def over() -> bool:
            found = (await self.admin.get(f"canaryrollouts/{name}")).get("status", {})
            return found.get("phase") in ("Promoted", "RolledBack")

        try:
            if done and (reached := await self.came_to(done, over)):
                self.start_operator()
            wrong = await self._judged(name, GOOD if good else BAD)
        except (AssertionError, httpx.HTTPError) as error:
            wrong = f"{type(error).__name__}: {error}"
        await self.admin.delete(f"canaryrollouts/{name}")
        return Killed(good, how, what, reached, wrong)

    async def _judged(self, name: str, expected: list[tuple[str, int]]) -> str:
        phase = "Promoted" if expected is GOOD else "RolledBack"

        async def over() -> Object | None:
            found = (await self.admin.get(f"canaryrollouts/{name}")).get("status", {})
            weight = found.get("weight", {})
            return found if found.get("phase") == phase and weight.get("applied") == weight.get("desired") else None

        found = await self.until(over, f"{name} {phase}")
        await self.quiet()
        decided = [(d["action"], d["weight"]) for d in reversed(found["decisions"])]
        if [d for d in decided if d[0] != "Hold"] != expected:
            return f"{name} decided {decided}"
        events: list[str] = []

        async def told() -> bool:
            events[:] = [e["reason"] for e in await self.admin.named("events", f"involvedObject.name={name}")]
            return sorted(events) == sorted(action for action, _ in decided)

        try:
            await self.until(told, "Events")
        except AssertionError:
            return f"{name} decided {decided}, and its Events say {events}"
        counted, shown = found["ledger"], from_line(found["ledger"].get("canary", ""))
        routers = [from_line(router.get("canary", "")) for router in counted.get("routers", [])]
        if shown.drawn > sum(router.drawn for router in routers):
            return f"{name} counted {shown.drawn} of {routers}"
        return f"calls failed: {self.failed[:3]}" if self.failed else ""

    async def _call(self) -> None:
        found = await self.admin.get("secrets/app")
        token = base64.b64decode(found["data"]["OPENAI_API_KEY"]).decode()
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=10) as http:
            while True:
                for router in self.routers:
                    answer = await http.post(f"{router.url}/v1/chat/completions", json=CALL)
                    if answer.status_code != 200:
                        self.failed.append(f"{answer.status_code} {answer.text[:200]}")
                await asyncio.sleep(PAUSE_S)


async def run(api: ApiServer, folder: Path) -> Rolled:
    """Kill the operator before and after each write of a good rollout and of one that goes back."""
    rolled = Rolled()
    async with lanes(RolloutLane, api, folder, range(10, 10 + LANES)) as all_lanes:
        first, cases = all_lanes[0], []
        for good in (True, False):
            name = f"r{first.rollouts}"
            end = await first.roll(good=good)
            assert not end.wrong, end.wrong
            writes = [write.what.replace(f"/{name}", "/{name}") for write in first.writes]
            rolled.undisturbed[good] = writes
            points = [(what, writes[: at + 1].count(what)) for at, what in enumerate(writes)]
            cases += [(good, how, *point) for how in KILLS for point in points]
        waiting = iter(cases)
        await asyncio.gather(*(_work(lane, waiting, rolled.ends) for lane in all_lanes))
    return rolled


async def _work(lane: RolloutLane, cases: Iterable[tuple[bool, str, str, int]], ends: list[Killed]) -> None:
    for good, how, what, nth in cases:
        ends.append(await lane.roll(good=good, how=how, what=what, nth=nth))
