"""Tokens → the Secrets that programs read; only tokens that every router knows get this far."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from turnout.apply.kube import Kube
from turnout.apply.objects import Applier
from turnout.decide.build import Decision
from turnout.decide.keys import KeyState
from turnout.errors import ClusterError, DeniedError
from turnout.infra.consumer import consumer_secrets, copy_of
from turnout.infra.kinds import NAMESPACE, SECRET
from turnout.infra.labels import Json, is_ours, permission

Find = Callable[[str, str], Json | None]

AT_ONCE = 8
"""Secrets written at one time; between two lots it is seen whether something is more urgent."""


@dataclass(frozen=True)
class HandOut:
    """How far it came. done: nothing was left for later; unwritten: keys of which some Secret could not be written, and
    why; denied: those of them for which that will not pass by itself.
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
    """Write the Secrets of each key that has a token and no conflict. A key whose cannot be written stops no other.

    uids: of the ScopedKeys, by name; find: a Secret as it is known now, by namespace and name.
    """
    namespace = decision.router.namespace
    refused = {verdict.name for verdict in decision.verdicts if verdict.kind == "ScopedKey" and verdict.problem}
    ready = [state for state in decision.keys if state.name in uids and state.name not in refused]
    unwritten: dict[str, str] = {}
    denied: dict[str, str] = {}
    elsewhere = Elsewhere(kube, namespace)

    async def write(state: KeyState) -> None:
        for desired in consumer_secrets(namespace, state, uids[state.name]):
            try:
                await _write(kube, applier, elsewhere, desired, find)
            except ClusterError as error:
                meta = desired["metadata"]
                where = f" in namespace '{meta['namespace']}'" if meta["namespace"] != namespace else ""
                unwritten[state.name] = f"Secret '{meta['name']}'{where} cannot be written: {error}"
                if isinstance(error, DeniedError):
                    denied[state.name] = unwritten[state.name]
                return  # all or none: the rotation goes back, or the rest is written when this one is

    for start in range(0, len(ready), AT_ONCE):
        await asyncio.gather(*map(write, ready[start : start + AT_ONCE]))
        if interrupted() and start + AT_ONCE < len(ready):
            return HandOut(False, unwritten, denied)
    return HandOut(True, unwritten, denied)


class Elsewhere:
    """What other namespaces allow, each asked once."""

    def __init__(self, kube: Kube, source: str) -> None:
        self._kube, self._source = kube, source
        self._asked: dict[str, asyncio.Task[Json | None]] = {}

    async def check(self, namespace: str) -> None:
        """Raises DeniedError if the namespace does not allow copies of our keys, and says how it would."""
        if namespace not in self._asked:
            self._asked[namespace] = asyncio.create_task(self._kube.get(NAMESPACE, "", namespace))
        found = await self._asked[namespace]
        label, value = permission(self._source)
        if found is None:
            raise DeniedError("the namespace does not exist")
        if (found["metadata"].get("labels") or {}).get(label) != value:
            raise DeniedError(f"the namespace does not allow it: kubectl label namespace {namespace} {label}={value}")


async def _write(kube: Kube, applier: Applier, elsewhere: Elsewhere, desired: Json, find: Find) -> None:
    namespace, name = desired["metadata"]["namespace"], desired["metadata"]["name"]
    source = copy_of(desired)
    if source is not None:
        await elsewhere.check(namespace)
    there = find(namespace, name)
    if there is None:
        # It may have been made a moment ago by somebody else; server-side apply would take it over.
        there = await kube.get(SECRET, namespace, name)
    if there is not None and source is not None and copy_of(there) != source:
        raise DeniedError("it exists and is not this key's; choose another name, or delete it")
    if there is not None and not is_ours(there):
        return  # its event is on the way, and then the key has a conflict
    await applier.apply(desired)
