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
from turnout.infra.consumer import consumer_secrets, copy_of
from turnout.infra.kinds import NAMESPACE, SECRET
from turnout.infra.labels import Json, is_ours, permission
from turnout.lots import in_lots

Find = Callable[[str, str], Json | None]

AT_ONCE = 8
"""Secrets written at one time; between two lots it is seen whether something is more urgent."""


WAITING = (Step.HANDING_OUT, Step.GOING_BACK, Step.RESTARTING)
"""Steps of a rotation that wait for Secrets, the first to be served first. Other keys mostly have theirs."""


@dataclass(frozen=True)
class HandOut:
    """How far it came.

    Attributes:
        done: nothing was left for later.
        unwritten: keys with Secrets that could not be written, and why.
        unwritten_here: those of them with one in the key's own namespace.
        denied: those of them for which that will not pass by itself.
        left: keys with Secrets that were not tried, because something was more urgent.
    """

    done: bool
    unwritten: Mapping[str, str] = field(default_factory=dict)
    unwritten_here: frozenset[str] = frozenset()
    denied: Mapping[str, str] = field(default_factory=dict)
    left: frozenset[str] = frozenset()


async def hand_out(
    kube: Kube,
    applier: Applier,
    decision: Decision,
    uids: Mapping[str, str],
    find: Find,
    interrupted: Callable[[], bool],
) -> HandOut:
    """Write the Secrets of each key that has a token and no conflict. One that cannot be written stops no other, be it
    of the same key: that all have a new token or none is seen to by its rotation, which goes back; the old token must
    get as far as it can, too, and so must the only one that an emergency leaves.

    uids: of the ScopedKeys, by name; find: a Secret as it is known now, by namespace and name.
    """
    namespace = decision.router.namespace
    refused = {verdict.name for verdict in decision.verdicts if verdict.kind == "ScopedKey" and verdict.problem}
    ready = [state for state in decision.keys if state.name in uids and state.name not in refused]
    ready.sort(key=_turn)
    wanted = [(s.name, desired) for s in ready for desired in consumer_secrets(namespace, s, uids[s.name])]
    elsewhere = Elsewhere(kube, namespace)

    async def write(one: tuple[str, Json]) -> ClusterError | None:
        try:
            await _write(kube, applier, elsewhere, one[1], find)
        except ClusterError as error:
            return error
        return None

    errors = await in_lots(write, wanted, AT_ONCE, interrupted)
    tried = zip(wanted, errors, strict=False)
    failed = [(key, desired["metadata"], error) for (key, desired), error in tried if error]
    unwritten = _joined((key, _words(namespace, meta, error)) for key, meta, error in failed)
    here = frozenset(key for key, meta, _ in failed if meta["namespace"] == namespace)
    denials = ((key, meta, error) for key, meta, error in failed if isinstance(error, DeniedError))
    denied = _joined((key, _words(namespace, meta, error)) for key, meta, error in denials)
    left = frozenset(key for key, _ in wanted[len(errors) :])
    return HandOut(not left, unwritten, here, denied, left)


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
    if there is not None and copy_of(there) != source:
        raise DeniedError("it exists and is not this key's; choose another name, or delete it")
    if there is not None and not is_ours(there):
        return  # its event is on the way, and then the key has a conflict
    await applier.apply(desired)


def _turn(state: KeyState) -> int:
    """Hand-outs that are interrupted again and again must not always get to the same few keys, which need nothing."""
    step = state.issued.rotation.step if state.issued.rotation else None
    return WAITING.index(step) if step in WAITING else len(WAITING)


def _words(namespace: str, meta: Json, error: ClusterError) -> str:
    where = f" in namespace '{meta['namespace']}'" if meta["namespace"] != namespace else ""
    return f"Secret '{meta['name']}'{where} cannot be written: {error}"


def _joined(reasons: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By key, in the order of its Secrets: a status must not change with who fails first."""
    found: dict[str, list[str]] = {}
    for key, reason in reasons:
        found.setdefault(key, []).append(reason)
    return {key: "; ".join(words) for key, words in found.items()}
