"""Snapshot → Decision: the IR for the routers, a verdict for each object, what to issue and what to drop. Pure.

Fed by the loops of watch and local; its IR goes to xds, its verdicts to infra. No clock: now comes in.
Every object is decided by itself; one that cannot be compiled keeps what `previous` has of it, so one mistake never
changes the others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from turnout.api import CanaryRollout, ModelGroup, ScopedKey
from turnout.decide.canary.state import State
from turnout.decide.groups import compile_group
from turnout.decide.ir import Group, Key, Lane, Member, Router
from turnout.decide.issued import Issued
from turnout.decide.keys import KeyState, key_state, own_secrets, router_keys, secret_name, to_drop, to_revoke
from turnout.decide.rollouts import Kept, States, kept_canaries, rollout_problem, with_canaries
from turnout.decide.snapshot import Invalid, Snapshot
from turnout.decide.verdict import Finding, Reason, Verdict


@dataclass(frozen=True)
class Decision:
    """What follows from a snapshot.

    Attributes:
        router: what the routers shall run.
        verdicts: one for every object, sorted by kind and name.
        keys: one for every ScopedKey that parses.
        rollouts: how every CanaryRollout that parses stands, by name.
        mint: ScopedKeys that need a token at once: issue one, keep it, decide again.
        revoke: names whose tokens are to be marked as revoked.
        drop: names whose tokens are to be deleted for good, before any is issued.
    """

    router: Router
    verdicts: tuple[Verdict, ...]
    keys: tuple[KeyState, ...]
    rollouts: Mapping[str, tuple[CanaryRollout, State]]
    mint: Mapping[str, ScopedKey]
    revoke: tuple[str, ...]
    drop: tuple[str, ...]

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be issued, revoked or dropped before it is done."""
        return not (self.mint or self.revoke or self.drop)

    def with_rollouts(self, states: States) -> "Decision":
        """The same, with rollouts as they stand by now."""
        return replace(self, rollouts={n: (r, states.get(n, s)) for n, (r, s) in self.rollouts.items()})

    @property
    def wants_router(self) -> bool:
        """Whether the namespace has a ModelGroup, be it one that does not compile yet."""
        return any(v.kind == "ModelGroup" for v in self.verdicts)


def decide(
    snapshot: Snapshot, previous: Router | None, *, now: datetime, hold: frozenset[str] = frozenset()
) -> Decision:
    """Decide a namespace.

    previous: what was last published; now: aware UTC; hold: groups whose change must wait because everything together
    would be too large (xds.compile finds that out).
    """
    last = previous or Router(namespace=snapshot.namespace)
    groups, group_verdicts = _groups(snapshot, last, hold)
    kept_of_rollouts = kept_canaries(snapshot, last)
    groups = with_canaries(groups, snapshot.rollouts, snapshot.rollout_states, kept_of_rollouts)
    keys, states, key_verdicts = _keys(snapshot, last, now)
    unreadable = {v.name for v in group_verdicts if v.problem} | _unreadable_groups(snapshot)
    verdicts = [*group_verdicts, *key_verdicts]
    verdicts += [_rollout(r, snapshot, unreadable, kept_of_rollouts) for r in snapshot.rollouts]
    verdicts += [_unparsable(i, last) for i in snapshot.invalid]
    kept = frozenset(i.name for i in snapshot.invalid if i.kind == "ScopedKey")
    specs = {k.metadata.name: k for k in snapshot.keys}
    refused = {v.name for v in key_verdicts if v.problem}
    return Decision(
        router=Router(namespace=snapshot.namespace, groups=groups, keys=tuple(keys)),
        verdicts=tuple(sorted(verdicts, key=lambda v: (v.kind, v.name))),
        keys=tuple(sorted(states, key=lambda s: s.name)),
        rollouts={
            r.metadata.name: (r, snapshot.rollout_states.get(r.metadata.name, State())) for r in snapshot.rollouts
        },
        # A conflict over a Secret keeps a first token from being issued; it must not keep a leaked one alive.
        mint={s.name: specs[s.name] for s in states if s.mint and (s.issued.known or s.name not in refused)},
        revoke=to_revoke(snapshot.keys, snapshot.issued),
        drop=to_drop(snapshot.keys, snapshot.issued, kept),
    )


def _groups(snapshot: Snapshot, last: Router, hold: frozenset[str]) -> tuple[Sequence[Group], list[Verdict]]:
    fresh: list[Group] = []
    stale: list[Group] = []
    verdicts = []
    for group in snapshot.groups:
        name = group.metadata.name
        result = compile_group(group, snapshot.secrets)
        if name in hold and isinstance(result, Group):
            result = Finding(
                Reason.TOO_LARGE,
                "spec.models",
                "The configuration of this namespace would not fit into a Secret (1 MiB); put some groups into another"
                " namespace.",
            )
        before = last.group(name) if isinstance(result, Finding) else None
        if isinstance(result, Group):
            fresh.append(result)
        elif before:
            stale.append(before)
        verdicts.append(_verdict(group, result if isinstance(result, Finding) else None, stale=before is not None))
    stale += [g for i in snapshot.invalid if i.kind == "ModelGroup" and (g := last.group(i.name))]
    return sorted([*fresh, *_with_lanes_of(stale, fresh)], key=lambda g: g.name), verdicts


def _with_lanes_of(stale: list[Group], fresh: list[Group]) -> Iterable[Group]:
    """Kept groups whose lanes a fresh group knows better (a newer credential) take those: a lane has one content."""
    lanes: dict[str, Lane] = {m.lane.id: m.lane for g in [*stale, *fresh] for m in g.members}
    for group in stale:
        members: tuple[Member, ...] = tuple(m.model_copy(update={"lane": lanes[m.lane.id]}) for m in group.members)
        yield group.model_copy(update={"members": members})


def _keys(snapshot: Snapshot, last: Router, now: datetime) -> tuple[list[Key], list[KeyState], list[Verdict]]:
    keys: list[Key] = []
    states: list[KeyState] = []
    verdicts = []
    taken: set[str] = set()
    ledger = snapshot.ledger.at(now)
    groups = {g.metadata.name for g in snapshot.groups} | _unreadable_groups(snapshot)
    issued = {k.metadata.name: snapshot.issued.get(k.metadata.name, Issued()).of(k.metadata.uid) for k in snapshot.keys}
    # Who has a token came first: a newcomer of the same secretName must not take its Secret away.
    in_turn = sorted(snapshot.keys, key=lambda k: (not issued[k.metadata.name].tokens, k.metadata.name))
    owners = _secret_owners(in_turn, snapshot.secret_owners)
    for key in in_turn:
        have = issued[key.metadata.name]
        # A keyring edited by hand may give two keys one token, which Envoy would refuse with everything else.
        own = have.with_tokens(t for t in have.tokens if t.token.get_secret_value() not in taken)
        mine = {name: owners[name] for name in own_secrets(key)}
        conflicts = {n for n, owner in mine.items() if n in snapshot.foreign_secrets or owner != key.metadata.name}
        usage = ledger.of(key.metadata.name)
        state = key_state(key, own, usage, conflicts=frozenset(conflicts), now=now)
        taken |= {t.token.get_secret_value() for t in have.tokens}
        problem = _secret_conflict(key, {n: owner for n, owner in mine.items() if n in conflicts}, snapshot)
        keys += router_keys(key, state)
        states.append(state)
        stale = problem is not None and bool(state.issued.known)
        verdicts.append(_verdict(key, problem, stale=stale, unresolved=_unknown_groups(key, groups)))
    names = {i.name for i in snapshot.invalid if i.kind == "ScopedKey"}
    keys += [k for k in last.keys if k.name in names]
    return sorted(keys, key=lambda k: (k.name, k.token_id)), states, verdicts


def _secret_owners(keys: Sequence[ScopedKey], written: Mapping[str, str]) -> Mapping[str, str]:
    """Whose each Secret is that keys want: who has it keeps it; else the first key that wants it.

    written: for whom each was written, which may not want it any more, or may be gone.
    """
    wanted = {key.metadata.name: own_secrets(key) for key in keys}
    owners = {name: key for name, key in written.items() if name in wanted.get(key, ())}
    for key, names in wanted.items():
        for name in names:
            owners.setdefault(name, key)
    return owners


def _secret_conflict(key: ScopedKey, conflicts: Mapping[str, str], snapshot: Snapshot) -> Finding | None:
    """Of the first of them. conflicts: its Secrets that are not its own → for whom they are, if for a key."""
    if not conflicts:
        return None
    name, owner = next(iter(conflicts.items()))
    path = "spec.secretName" if name == secret_name(key) else "spec.copies"
    is_foreign = name in snapshot.foreign_secrets
    whose = "exists and is not Turnout's" if is_foreign else f"is written by ScopedKey '{owner}'"
    message = f"Secret '{name}' {whose}; choose another name in {path} or delete it."
    return Finding(Reason.SECRET_CONFLICT, path, message)


def _unknown_groups(key: ScopedKey, groups: set[str]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            Reason.MODEL_GROUP_NOT_FOUND,
            f"spec.modelGroups[{position}]",
            f"ModelGroup '{name}' does not exist in this namespace; the key cannot use it until it does.",
        )
        for position, name in enumerate(key.spec.model_groups)
        if name != "*" and name not in groups
    )


def _unreadable_groups(snapshot: Snapshot) -> set[str]:
    return {i.name for i in snapshot.invalid if i.kind == "ModelGroup"}


def _rollout(rollout: CanaryRollout, snapshot: Snapshot, unreadable: set[str], kept: Kept) -> Verdict:
    others = (snapshot.rollouts, snapshot.rollout_states, kept)
    return _verdict(rollout, rollout_problem(rollout, snapshot.groups, unreadable, *others))


def _verdict(
    thing: ModelGroup | ScopedKey | CanaryRollout,
    problem: Finding | None,
    *,
    stale: bool = False,
    unresolved: tuple[Finding, ...] = (),
) -> Verdict:
    return Verdict(
        kind=thing.kind,
        name=thing.metadata.name,
        generation=thing.metadata.generation or 0,
        problem=problem,
        stale=stale,
        unresolved=unresolved,
        uid=thing.metadata.uid,
    )


def _unparsable(thing: Invalid, last: Router) -> Verdict:
    kind, name = thing.kind, thing.name
    served = last.group(name) is not None if kind == "ModelGroup" else any(k.name == name for k in last.keys)
    return Verdict(kind, name, 0, problem=Finding(Reason.INVALID, "spec", thing.reason), stale=served, uid=thing.uid)
