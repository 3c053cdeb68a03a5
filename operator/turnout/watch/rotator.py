"""Keys in motion → what is seen of their tokens, Secrets and workloads → what is kept of them next.

Runs after the routers run what was decided; the worker keeps what comes out, and begins again with it.
"""

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from turnout.apply import keyring
from turnout.apply.consumers import HandOut, joined
from turnout.apply.workloads import restart_and_look
from turnout.decide.build import Decision
from turnout.decide.facts import Facts, Names, Uses
from turnout.decide.herd import Herd
from turnout.decide.issued import Issued, Step
from turnout.decide.keys import KeyState
from turnout.decide.rotation import advance, consumers, in_motion, is_due, look_at, take_on, triggered, unproven
from turnout.observe.proof import Proof, prove
from turnout.observe.rotations import tell
from turnout.watch.context import Context, now

BLOCKED_S = 10.0
"""Seconds between two looks at what a rotation cannot begin without. Workloads and namespaces are not watched, so
nothing tells that one is there now; everything else wakes the worker. A guess: who repairs it waits for it."""


@dataclass(frozen=True)
class Moved:
    """What came of it.

    Attributes:
        issued: name → what is to be kept, of those that changed.
        blocked: name → why a rotation that is due cannot begin, for a person.
        waiting: names of those for which there was no room, because many are due.
    """

    issued: Mapping[str, Issued] = field(default_factory=dict)
    blocked: Mapping[str, str] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()


async def move(
    context: Context,
    decision: Decision,
    handed_out: HandOut,
    uses: Uses,
    routers: Sequence[str],
    blocked: Container[str],
    interrupted: Callable[[], bool],
) -> Moved:
    """Look at every key in motion, act for it, and take it one step on.

    routers: base URLs of all that are ready; blocked: keys whose rotation could not begin when it was tried last;
    interrupted: whether something is more urgent than to ask routers more.
    """
    time = now()
    # Who is looked at, and who begins: of those that are looked at some cannot.
    looks, herd = (Herd(((state.key, state.issued) for state in decision.keys), now=time) for _ in range(2))
    moving = [state for state in decision.keys if in_motion(state.key, state.issued, now=time)]
    asked = [token for state in moving for token in unproven(state.issued)]
    proof = await prove(context.http, routers, asked, interrupted)
    begins = {state.name: _begins(state, looks, blocked, time) for state in moving}
    seen = await asyncio.gather(
        *(_facts(context, decision, s, proof, handed_out, uses, begins=begins[s.name]) for s in moving)
    )
    issued: dict[str, Issued] = {}
    obstacles: dict[str, str] = {}
    for state, facts in zip(moving, seen, strict=True):
        mint = partial(keyring.mint, state.key.metadata.uid, now=time)
        room = partial(herd.takes, state.key, state.issued)
        if begins[state.name]:
            after, why = take_on(state.key, state.issued, facts, mint, now=time, room=room)
        else:
            after, why = advance(state.key, state.issued, facts, now=time), ""
        if why:
            obstacles[state.name] = why
        if after != state.issued:
            issued[state.name] = after
            tell(state, after, f"namespace {decision.router.namespace}: ")
            if after.revocation is not None and after.revocation != state.issued.revocation:
                context.metrics.revocation.observe(after.revocation.took_ms / 1000)
    waiting = {s.name for s in moving if is_due(s.key, s.issued, now=time)} - issued.keys() - obstacles.keys()
    return Moved(issued, obstacles, frozenset(waiting))


def _begins(state: KeyState, looks: Herd, blocked: Container[str], time: datetime) -> bool:
    """Whether a rotation is due and may begin now, if nothing speaks against it."""
    if not is_due(state.key, state.issued, now=time):
        # Triggered: it may begin in the very turn in which the one under way ends.
        return triggered(state.key, state.issued)
    # One that cannot begin must not take the place of others, again and again.
    return state.name in blocked or looks.takes(state.key, state.issued)


async def _facts(
    context: Context,
    decision: Decision,
    state: KeyState,
    proof: Proof,
    handed_out: HandOut,
    uses: Uses,
    *,
    begins: bool,
) -> Facts:
    rotation, namespace = state.issued.rotation, decision.router.namespace
    problem = next((v.problem for v in decision.verdicts if v.kind == "ScopedKey" and v.name == state.name), None)
    left, lacks = state.name in handed_out.left, handed_out.lacks.get(state.name, ())
    denied = problem.message.rstrip(".") if problem else joined(lack for lack in lacks if lack.denied)
    emergency = rotation is not None and rotation.emergency
    at_home = not (left or any(lack.here and not (emergency and lack.denied) for lack in lacks))
    told = rotation if at_home else None  # who restarts reads the Secret, which must be right by then
    return Facts(
        accepted=proof.accepted,
        refused=proof.refused,
        handed_out=not (problem or left or lacks),
        at_home=at_home,
        none_old=not (left or any(lack.outdated for lack in lacks)),
        unwritten=joined(lacks),
        denied=denied,
        rollouts=await restart_and_look(context.kube, namespace, state.name, _concerned(state, begins=begins), told),
        uses=uses,
    )


def _concerned(state: KeyState, *, begins: bool) -> list[Names]:
    """Workloads to be looked at: those that a rotation restarts, or will when it begins, which an obstacle forbids.

    Each look is a request to the API server, and an old token may drain for a day.
    """
    rotation = state.issued.rotation
    restarts = rotation is not None and rotation.step is Step.RESTARTING
    return consumers(state.key) if begins or restarts else []


def next_look(decision: Decision, idle: Container[str], time: datetime) -> list[float]:
    """Seconds until keys are to be looked at again. idle: names of those whose rotation cannot begin."""
    return [
        max((at - time).total_seconds(), BLOCKED_S if _only_waits(state, idle) else 0)
        for state in decision.keys
        if (at := look_at(state.key, state.issued, now=time)) is not None
    ]


def _only_waits(state: KeyState, idle: Container[str]) -> bool:
    return state.name in idle and not unproven(state.issued)
