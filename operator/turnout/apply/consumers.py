"""Tokens → the Secrets that programs read; only tokens that every router knows get this far."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from turnout.apply.kube import Kube
from turnout.apply.objects import Applier
from turnout.decide.build import Decision
from turnout.decide.keys import KeyState
from turnout.errors import ClusterError, DeniedError
from turnout.infra.consumer import consumer_secret
from turnout.infra.kinds import SECRET
from turnout.infra.labels import Json, is_ours

Find = Callable[[str], Json | None]

AT_ONCE = 8
"""Secrets written at one time; between two lots it is seen whether something is more urgent."""


@dataclass(frozen=True)
class HandOut:
    """How far it came. done: nothing was left for later; unwritten: keys whose Secret could not be written, and why;
    denied: those of them for which that will not pass by itself.
    """

    done: bool
    unwritten: Mapping[str, str] = field(default_factory=dict)
    denied: Mapping[str, str] = field(default_factory=dict)


async def hand_out(
    kube: Kube,
    applier: Applier,
    decision: Decision,
    uids: Mapping[str, str],
    find: Find,
    interrupted: Callable[[], bool],
) -> HandOut:
    """Write the Secret of each key that has a token and no conflict. One that cannot be written stops no other.

    uids: of the ScopedKeys, by name; find: a Secret as it is known now.
    """
    namespace = decision.router.namespace
    refused = {verdict.name for verdict in decision.verdicts if verdict.kind == "ScopedKey" and verdict.problem}
    ready = [state for state in decision.keys if state.name in uids and state.name not in refused]
    unwritten: dict[str, str] = {}
    denied: dict[str, str] = {}

    async def write(state: KeyState) -> None:
        try:
            await _write(kube, applier, namespace, state, uids[state.name], find)
        except ClusterError as error:
            unwritten[state.name] = f"Secret '{state.secret_name}' cannot be written: {error}"
            if isinstance(error, DeniedError):
                denied[state.name] = unwritten[state.name]

    for start in range(0, len(ready), AT_ONCE):
        await asyncio.gather(*map(write, ready[start : start + AT_ONCE]))
        if interrupted() and start + AT_ONCE < len(ready):
            return HandOut(False, unwritten, denied)
    return HandOut(True, unwritten, denied)


async def _write(kube: Kube, applier: Applier, namespace: str, state: KeyState, uid: str, find: Find) -> None:
    if state.token is None:
        return
    there = find(state.secret_name)
    if there is None:
        # It may have been made a moment ago by somebody else; server-side apply would take it over.
        there = await kube.get(SECRET, namespace, state.secret_name)
    if there is not None and not is_ours(there):
        return  # its event is on the way, and then the key has a conflict
    await applier.apply(consumer_secret(namespace, state.secret_name, state.token.token, key=state.name, uid=uid))
