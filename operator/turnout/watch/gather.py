"""The store → one namespace's Snapshot. Parses each object once per generation; no I/O."""

from typing import TypeVar

from pydantic import ValidationError

from turnout.api import CanaryRollout, ModelGroup, Resource, ScopedKey
from turnout.api.problems import problems_of
from turnout.apply import keyring
from turnout.decide.rollouts import States
from turnout.decide.snapshot import Invalid, Snapshot
from turnout.decide.usage import Ledger
from turnout.infra.consumer import owner_of
from turnout.infra.kinds import CANARY_ROLLOUT, MODEL_GROUP, SCOPED_KEY, SECRET, Kind
from turnout.infra.labels import KEYRING, RESERVED, Json, is_ours
from turnout.infra.objects import decoded
from turnout.watch.store import Store

Found = TypeVar("Found", bound=Resource)

METADATA = ("name", "namespace", "uid", "generation", "creationTimestamp")
"""What of metadata is parsed: the rest belongs to others, and must not make an object invalid."""


class Gatherer:
    """Makes snapshots of one namespace."""

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace
        self._parsed: dict[tuple[str, str], tuple[tuple[str, int], Resource | Invalid]] = {}

    def snapshot(self, ledger: Ledger, rollout_states: States) -> Snapshot:
        """The namespace as it is now. ledger: what keys have used; rollout_states: how rollouts stand.

        Raises BrokenStateError if the keyring is not ours.
        """
        secrets = self._store.objects(self._namespace, SECRET)
        groups, bad_groups = self._read(MODEL_GROUP, ModelGroup)
        keys, bad_keys = self._read(SCOPED_KEY, ScopedKey)
        rollouts, bad_rollouts = self._read(CANARY_ROLLOUT, CanaryRollout)
        foreign = {name: obj for name, obj in secrets.items() if not is_ours(obj)}
        return Snapshot(
            namespace=self._namespace,
            groups=groups,
            keys=keys,
            rollouts=rollouts,
            rollout_states=rollout_states,
            secrets={name: decoded(obj) for name, obj in secrets.items() if name not in RESERVED},
            issued=keyring.read(secrets.get(KEYRING)),
            invalid=(*bad_groups, *bad_keys, *bad_rollouts),
            ledger=ledger,
            foreign_secrets=frozenset(foreign) | RESERVED,
            secret_owners={n: o for n, obj in secrets.items() if is_ours(obj) and (o := owner_of(obj)) is not None},
        )

    def _read(self, kind: Kind, model: type[Found]) -> tuple[tuple[Found, ...], tuple[Invalid, ...]]:
        good: list[Found] = []
        bad: list[Invalid] = []
        for obj in self._store.objects(self._namespace, kind).values():
            if "deletionTimestamp" in obj["metadata"]:
                continue  # deleted, only somebody's finalizer holds it: a key must be refused now
            result = self._parse_once(model, obj)
            if isinstance(result, model):
                good.append(result)
            elif isinstance(result, Invalid):
                bad.append(result)
        return tuple(sorted(good, key=lambda r: r.metadata.name)), tuple(sorted(bad, key=lambda i: i.name))

    def _parse_once(self, model: type[Resource], obj: Json) -> Resource | Invalid:
        meta = obj["metadata"]
        name, state = (obj["kind"], meta["name"]), (meta["uid"], meta.get("generation", 0))
        known = self._parsed.get(name)
        if known is None or known[0] != state:
            known = self._parsed[name] = (state, parse(model, obj))
        return known[1]


def parse(model: type[Resource], obj: Json) -> Resource | Invalid:
    """The object without its status, or why it cannot be read."""
    meta = {name: obj["metadata"][name] for name in METADATA if name in obj["metadata"]}
    try:
        return model.parse({**{k: v for k, v in obj.items() if k != "status"}, "metadata": meta})
    except ValidationError as error:
        first = problems_of(model, error)[0]
        return Invalid(obj["kind"], meta["name"], f"{first.path} {first.reason}.".lstrip(), meta["uid"])
