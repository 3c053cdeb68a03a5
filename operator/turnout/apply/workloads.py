"""Workloads that use a key → restarted for the token that they shall have, and looked at."""

import asyncio
from collections.abc import Iterable, Mapping

from turnout.apply.kube import Kube
from turnout.decide.facts import Names, Rollout, RolloutState
from turnout.decide.issued import Rotation, Step
from turnout.errors import ClusterError, NotFoundError
from turnout.infra.workloads import KINDS, restarted, rollout


async def restart_and_look(
    kube: Kube, namespace: str, key: str, consumers: Iterable[Names], rotation: Rotation | None
) -> dict[Names, Rollout]:
    """Tell those workloads that a rotation has come to which token they are for; how each of them stands. All at one
    time: each may take its webhooks' ten seconds, and a revoked key waits for the end of it.

    One that cannot be read or changed is under way, and an obstacle, in the API server's words.
    """
    wanted = _wanted(rotation)

    async def look(names: Names) -> Rollout:
        try:
            seen = await _look(kube, namespace, key, names)
            if names in wanted and seen.state is not RolloutState.MISSING and seen.token != wanted[names]:
                await kube.merge(KINDS[names[0]], namespace, names[1], restarted(key, wanted[names]))
                seen = await _look(kube, namespace, key, names)
        except NotFoundError:
            return Rollout(RolloutState.MISSING)
        except ClusterError as error:
            return Rollout(RolloutState.UNDER_WAY, message=f"cannot be restarted: {error}", obstacle=f"fails: {error}")
        return seen

    concerned = list(dict.fromkeys([*consumers, *wanted]))
    return dict(zip(concerned, await asyncio.gather(*map(look, concerned)), strict=True))


def _wanted(rotation: Rotation | None) -> Mapping[Names, str]:
    """The token that each workload is to be restarted for; empty: as it was."""
    if rotation is None:
        return {}
    back = rotation.step is Step.GOING_BACK
    return {(r.kind, r.name): r.before if back else rotation.token for r in rotation.restarts}


async def _look(kube: Kube, namespace: str, key: str, names: Names) -> Rollout:
    return rollout(key, await kube.get(KINDS[names[0]], namespace, names[1]))
