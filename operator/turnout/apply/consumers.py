"""Tokens → the Secrets that programs read; only tokens that every router knows get this far."""

import asyncio
from collections.abc import Callable, Mapping

from turnout.apply.kube import Kube
from turnout.apply.objects import Applier
from turnout.decide.build import Decision
from turnout.decide.keys import KeyState
from turnout.infra.consumer import consumer_secret
from turnout.infra.kinds import SECRET
from turnout.infra.labels import Json, is_ours

Find = Callable[[str], Json | None]

AT_ONCE = 8
"""Secrets written at one time; between two lots it is seen whether something is more urgent."""


async def hand_out(
    kube: Kube,
    applier: Applier,
    decision: Decision,
    uids: Mapping[str, str],
    find: Find,
    interrupted: Callable[[], bool],
) -> bool:
    """Write the Secret of each key that has a token and no conflict; False if interrupted. Raises ClusterError.

    uids: of the ScopedKeys, by name; find: a Secret as it is known now.
    """
    namespace = decision.router.namespace
    refused = {verdict.name for verdict in decision.verdicts if verdict.kind == "ScopedKey" and verdict.problem}
    ready = [state for state in decision.keys if state.name in uids and state.name not in refused]
    for start in range(0, len(ready), AT_ONCE):
        lot = ready[start : start + AT_ONCE]
        await asyncio.gather(*(_hand_out(kube, applier, namespace, state, uids[state.name], find) for state in lot))
        if interrupted() and start + AT_ONCE < len(ready):
            return False
    return True


async def _hand_out(kube: Kube, applier: Applier, namespace: str, state: KeyState, uid: str, find: Find) -> None:
    if state.token is None:
        return
    there = find(state.secret_name)
    if there is None:
        # It may have been made a moment ago by somebody else; server-side apply would take it over.
        there = await kube.get(SECRET, namespace, state.secret_name)
    if there is not None and not is_ours(there):
        return  # its event is on the way, and then the key has a conflict
    await applier.apply(consumer_secret(namespace, state.secret_name, state.token.token, key=state.name, uid=uid))
