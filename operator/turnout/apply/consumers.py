"""Tokens → the Secrets that programs read; only tokens that every router knows get this far."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from turnout.apply.kube import Kube
from turnout.apply.objects import Applier
from turnout.decide.build import Decision
from turnout.decide.issued import Step
from turnout.decide.keys import KeyState
from turnout.errors import ClusterError, DeniedError
from turnout.infra.consumer import TOKEN, consumer_secrets, copy_of
from turnout.infra.kinds import NAMESPACE, SECRET
from turnout.infra.labels import Json, is_ours, permission
from turnout.infra.objects import encoded
from turnout.lots import in_lots

Find = Callable[[str, str], Json | None]

NOT_OURS = "it exists and is not this key's; choose another name, or delete it"
AT_ONCE = 8
"""Secrets written at one time; between two lots it is seen whether something is more urgent."""


WAITING = (Step.HANDING_OUT, Step.GOING_BACK, Step.RESTARTING)
"""Steps of a rotation that wait for Secrets, the first to be served first. Other keys mostly have theirs."""


@dataclass(frozen=True)
class Lack:
    """A Secret of a key that could not be written.

    Attributes:
        why: for a person.
        here: it is in the key's own namespace, where its workloads read it.
        denied: that will not pass by itself.
        outdated: it may hold an older token of the key.
        conflict: it is known to be somebody else's, which the key's verdict tells.
    """

    why: str
    here: bool
    denied: bool
    outdated: bool
    conflict: bool = False


@dataclass(frozen=True)
class HandOut:
    """How far it came.

    Attributes:
        done: nothing was left for later.
        lacks: key → what could not be written of it, in the order of its Secrets; nobody without any.
        left: keys with Secrets that were not tried, because something was more urgent.
    """

    done: bool
    lacks: Mapping[str, tuple[Lack, ...]] = field(default_factory=dict)
    left: frozenset[str] = frozenset()

    @property
    def unwritten(self) -> Mapping[str, str]:
        """Keys with Secrets that could not be written though they have no conflict, and why."""
        return {key: why for key, lacks in self.lacks.items() if (why := joined(_ for _ in lacks if not _.conflict))}


def joined(lacks: Iterable[Lack]) -> str:
    """Why, in one line; empty: nothing is lacking."""
    return "; ".join(lack.why for lack in lacks)


async def hand_out(
    kube: Kube,
    applier: Applier,
    decision: Decision,
    uids: Mapping[str, str],
    find: Find,
    interrupted: Callable[[], bool],
) -> HandOut:
    """Write the Secrets of each key that has a token. One that cannot be written, or is somebody else's, stops no
    other, be it of the same key: that all have a new token or none is seen to by its rotation, which goes back; the old
    token must get as far as it can, too, and so must the only one that an emergency leaves.

    uids: of the ScopedKeys, by name; find: a Secret as it is known now, by namespace and name.
    """
    namespace = decision.router.namespace
    ready = sorted((state for state in decision.keys if state.name in uids), key=_turn)
    wanted = [(s, desired) for s in ready for desired in consumer_secrets(namespace, s, uids[s.name])]
    elsewhere = Elsewhere(kube, namespace)

    async def write(one: tuple[KeyState, Json]) -> Lack | None:
        state, desired = one
        try:
            await _write(kube, applier, elsewhere, state, desired, find)
        except ClusterError as error:
            return _lack(namespace, state, desired, error, find)
        return None

    found = await in_lots(write, wanted, AT_ONCE, interrupted)
    lacks: dict[str, tuple[Lack, ...]] = {}
    for (state, _), lack in zip(wanted, found, strict=False):
        if lack:
            lacks[state.name] = (*lacks.get(state.name, ()), lack)
    left = frozenset(state.name for state, _ in wanted[len(found) :])
    return HandOut(not left, lacks, left)


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


async def _write(
    kube: Kube, applier: Applier, elsewhere: Elsewhere, state: KeyState, desired: Json, find: Find
) -> None:
    namespace, name = desired["metadata"]["namespace"], desired["metadata"]["name"]
    source = copy_of(desired)
    if source is not None:
        await elsewhere.check(namespace)
    elif name in state.conflicts:
        raise DeniedError(NOT_OURS)
    there = find(namespace, name)
    if there is None:
        # It may have been made a moment ago by somebody else; server-side apply would take it over.
        there = await kube.get(SECRET, namespace, name)
    if there is not None and (copy_of(there) != source or not is_ours(there)):
        raise DeniedError(NOT_OURS)
    await applier.apply(desired)


def _turn(state: KeyState) -> int:
    """Hand-outs that are interrupted again and again must not always get to the same few keys, which need nothing."""
    step = state.issued.rotation.step if state.issued.rotation else None
    return WAITING.index(step) if step in WAITING else len(WAITING)


def _lack(namespace: str, state: KeyState, desired: Json, error: ClusterError, find: Find) -> Lack:
    meta, denied = desired["metadata"], isinstance(error, DeniedError)
    here = meta["namespace"] == namespace
    where = "" if here else f" in namespace '{meta['namespace']}'"
    there = find(meta["namespace"], meta["name"])
    held = ((there or {}).get("data") or {}).get(TOKEN)
    older = {encoded({TOKEN: t.token.get_secret_value().encode()})[TOKEN] for t in state.issued.tokens}
    # One that nobody has heard of yet may be there all the same.
    outdated = held in older - {desired["data"][TOKEN]} or (there is None and not denied)
    conflict = here and meta["name"] in state.conflicts
    return Lack(f"Secret '{meta['name']}'{where} cannot be written: {error}", here, denied, outdated, conflict)
