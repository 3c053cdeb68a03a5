"""Every disturbance at every write of a rotation → how it ended."""

import asyncio
import functools
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiohttp import web

from crash.api_proxy import Forward, Write
from crash.disturbances import DISTURBANCES, Disturbance
from crash.install import COPY, KEY, SECRET, scoped_key
from crash.lane import Lane
from crash.lanes import lanes
from harness.cluster import ApiServer

LANES = 8
"""Namespaces at one time: a rotation mostly waits."""
DONE, BACK, DEAD = "done", "rolled back", "refused by all"


@dataclass(frozen=True)
class Case:
    """One rotation, disturbed at the n-th of its writes of a kind. fails: its second program cannot use a new token."""

    fails: bool
    disturbance: str
    what: str
    nth: int


@dataclass(frozen=True)
class Outcome:
    """How it ended: DONE, BACK, DEAD, or what went wrong. reached: whether there was such a write."""

    case: Case
    reached: bool
    end: str
    refused: tuple[str, ...] = ()


@dataclass
class Matrix:
    """All outcomes, and the writes of every rotation that nobody disturbs, by whether it fails."""

    undisturbed: dict[bool, list[str]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def of(self, disturbance: str, *, fails: bool) -> list[Outcome]:
        """Outcomes of a row."""
        return [o for o in self.outcomes if (o.case.disturbance, o.case.fails) == (disturbance, fails)]

    def points(self, *, fails: bool) -> list[tuple[str, int]]:
        """Each write as (what, n-th of those); of a rotation that fails those from where its second program is told to
        restart: until then it goes as one that goes well.
        """
        writes = self.undisturbed[fails]
        first = writes.index("PATCH deployments/two") if fails else 0
        return [(what, writes[: at + 1].count(what)) for at, what in enumerate(writes)][first:]

    def table(self) -> str:
        """For people: disturbances × endings."""
        lines = []
        for fails, writes in self.undisturbed.items():
            title = "a program that cannot use the new token" if fails else "programs that can use the new token"
            lines.append(f"{title}: {len(writes)} writes")
            for name in DISTURBANCES:
                found = self.of(name, fails=fails)
                ends = Counter(o.end if o.reached else "not reached" for o in found)
                told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
                refusals = sum(len(o.refused) for o in found)
                if found:
                    lines.append(f"  {name:16} {len(found):3} points: {told}; consumers refused: {refusals}")
        return "\n".join(lines)


async def run(api: ApiServer, folder: Path, rows: Iterable[tuple[bool, str]], *, every: int = 1) -> Matrix:
    """Run the rows (whether it fails, disturbance) at each write, or at every so-manieth."""
    matrix = Matrix()
    async with lanes(Lane, api, folder, range(LANES)) as all_lanes:
        for fails in (False, True):
            matrix.undisturbed[fails] = await _undisturbed(all_lanes, fails=fails)
        cases = [
            Case(fails, name, what, nth)
            for fails, name in rows
            for position, (what, nth) in enumerate(matrix.points(fails=fails))
            if DISTURBANCES[name].restart or position % every == 0
        ]
        waiting = iter(cases)
        await asyncio.gather(*(_work(lane, waiting, matrix.outcomes) for lane in all_lanes))
    return matrix


async def _work(lane: Lane, cases: Iterable[Case], outcomes: list[Outcome]) -> None:
    for case in cases:
        outcome = await _one(lane, case)
        outcomes.append(outcome)
        if outcome.end not in (DONE, BACK, DEAD):
            await lane.start_anew()


async def _one(lane: Lane, case: Case) -> Outcome:
    disturbance = DISTURBANCES[case.disturbance]
    lane.programs["two"].stubborn = case.fails
    try:
        before = await lane.issued()
        reached = await lane.disturbed(case.what, case.nth, disturbance.act)
        if disturbance.restart and reached:
            lane.start_operator()
        if disturbance.fatal and reached:
            end = await _dead(lane, disturbance)
        else:
            await lane.ended()
            lane.set_clock(0)
            after = await lane.settled()
            end = BACK if after.tokens == before.tokens else DONE
    except (AssertionError, OSError, httpx.HTTPError) as error:
        return Outcome(case, True, f"{type(error).__name__}: {error}", tuple(lane.refused))
    finally:
        lane.set_clock(0)
        lane.programs["two"].stubborn = False
    return Outcome(case, reached, end, tuple(lane.refused))


async def _dead(lane: Lane, disturbance: Disturbance) -> str:
    """Every token that there was is refused by every router; then the key is made well again."""
    tokens = lane.tokens

    async def all_refused() -> bool:
        return all([await lane.answers(token) == {401} for token in tokens])

    await lane.until(all_refused, "every token refused")
    await lane.quiet()
    assert await all_refused(), "a token came back"
    lane.programs["two"].stubborn = False
    if disturbance.name == "key deleted":

        async def both_gone() -> bool:
            return [await lane.admin.find(f"secrets/{name}") for name in (SECRET, COPY)] == [None, None]

        # Without the garbage collector, which takes the Secrets with their owner, the operator does it itself.
        await lane.until(both_gone, "both Secrets gone")
        key = {**scoped_key(), "metadata": {"name": KEY}}
        await lane.admin.create(f"scopedkeys/{KEY}", key)
    else:
        await lane.admin.patch(f"scopedkeys/{KEY}", {"spec": {"revoked": False}})
    await lane.readmitted()
    return DEAD


async def _undisturbed(all_lanes: Sequence[Lane], *, fails: bool) -> list[str]:
    """What every rotation writes that nobody disturbs, in order: of two in each lane.

    The clock adds to some (figures are written twice a minute), and a slow machine does (a pod that was late is poked
    again). Such a write is no point: no other rotation need come to it.
    """
    rounds = [await asyncio.gather(*(_writes(lane, fails=fails) for lane in all_lanes)) for _ in range(2)]
    found = [what for one in rounds for what in one]
    common = functools.reduce(operator.and_, map(Counter, found))
    kept: list[str] = []
    for what in found[0]:
        if kept.count(what) < common[what]:
            kept.append(what)
    return kept


async def _writes(lane: Lane, *, fails: bool) -> list[str]:
    async def nothing(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
        return await lane.passed_on(write, forward)

    lane.programs["two"].stubborn = fails
    await lane.disturbed("PATCH secrets/turnout-keyring", 1, nothing)
    await lane.settled()
    await lane.quiet()
    lane.programs["two"].stubborn = False
    return [write.what for write in lane.writes]
