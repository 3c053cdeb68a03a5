"""Keys in motion on one machine: the laptop's watch.rotator. No workloads are restarted here."""

from collections.abc import Mapping
from datetime import UTC, datetime

import httpx

from turnout.apply.keyring import mint
from turnout.decide.build import Decision
from turnout.decide.facts import Facts, Uses
from turnout.decide.issued import Issued
from turnout.decide.rotation import in_motion, look_at, take_on, unproven
from turnout.decide.verdict import Phase
from turnout.observe.proof import prove


async def moved(http: httpx.AsyncClient, url: str, decision: Decision, uses: Uses) -> Mapping[str, Issued]:
    """What is to be kept next, of the keys for which that changes. url: OPENAI_BASE_URL.

    The router runs what was decided, and the files of the keys hold their current tokens.
    """
    now = datetime.now(UTC)
    moving = [state for state in decision.keys if in_motion(state.key, state.issued, now=now)]
    proof = await prove(http, [url], [token for state in moving for token in unproven(state.issued)])
    facts = Facts(proof.accepted, proof.refused, handed_out=True, uses=uses)
    changed = {}
    for state in moving:
        after, _ = take_on(state.key, state.issued, facts, lambda: mint(None, now=now), now=now)
        if after != state.issued:
            changed[state.name] = after
    return changed


def due_at(decision: Decision, now: datetime) -> datetime | None:
    """When a key is to be looked at again: it dies, or is in motion, or its rotation is due; None: never."""
    times = [look_at(state.key, state.issued, now=now) for state in decision.keys]
    times += [state.expires_at for state in decision.keys if state.phase in {Phase.ACTIVE, Phase.ROTATING}]
    return min((time for time in times if time is not None), default=None)
