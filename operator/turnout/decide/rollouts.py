"""The CanaryRollouts of a namespace: what is wrong with them, what their groups are told, how they go on. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from turnout.api import CanaryRollout, ModelGroup
from turnout.decide.canary.freeze import unknown_zone
from turnout.decide.canary.rollout import advance, canary_of
from turnout.decide.canary.state import Seen, State
from turnout.decide.evidence import Look
from turnout.decide.ir import Canary, Group, Router
from turnout.decide.snapshot import Snapshot
from turnout.decide.verdict import Finding, Reason, Verdict

States = Mapping[str, State]
"""Name of a rollout → how it stands."""
Kept = Mapping[str, tuple[str, Canary]]
"""Name of a group → the rollout that has it and cannot be read, and what was published of that."""
NOTHING_KEPT: Kept = {}
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def rollout_problem(
    rollout: CanaryRollout,
    groups: Iterable[ModelGroup],
    unreadable: Container[str],
    rollouts: Iterable[CanaryRollout],
    states: States,
    kept: Kept = NOTHING_KEPT,
) -> Finding | None:
    """What is wrong with a rollout, or None. unreadable: groups that exist, of which routers are not told as they are;
    rollouts: all of them; kept: `kept_canaries`.
    """
    name = rollout.spec.model_group
    group = next((g for g in groups if g.metadata.name == name), None)
    if group is None:
        return _broken(name) if name in unreadable else _absent(name)
    if (wrong := _model_problem(rollout, group)) is not None:
        return wrong
    if name in kept:
        return _taken(rollout, kept[name][0])
    rival = _rival_problem(rollout, rollouts, states) if _state(rollout, states).live else None
    own = _zone_problem(rollout) or _price_problem(rollout, group)
    return own or rival or (_broken(name) if name in unreadable else None)


def kept_canaries(snapshot: Snapshot, last: Router) -> Kept:
    """What stays of the canaries that were published last: those of rollouts that exist and cannot be read."""
    invalid = [i.name for i in snapshot.invalid if i.kind == "CanaryRollout"]
    runs = {state.run: name for name in invalid if (state := snapshot.rollout_states.get(name)) and state.weight}
    canaries = [(group.name, group.canary) for group in last.groups if group.canary]
    return {name: (runs[canary.rollout], canary) for name, canary in canaries if canary.rollout in runs}


def with_canaries(
    groups: Iterable[Group], rollouts: Sequence[CanaryRollout], states: States, kept: Kept
) -> tuple[Group, ...]:
    """The groups with what rollouts under way want of them. kept: `kept_canaries`."""
    return tuple(
        _with_canary(group, rollouts, states, kept[group.name][1] if group.name in kept else None) for group in groups
    )


def advanced(
    snapshot: Snapshot,
    verdicts: Iterable[Verdict],
    running: Router | None,
    look: Look | None,
    *,
    now: datetime,
    unknown: timedelta = timedelta(),
) -> dict[str, State]:
    """How every rollout stands next, by name: at most one decision each. Who has a group goes on before those who might
    take it.

    verdicts: of the same snapshot; running: what every ready router was just seen to run, None if that is not known or
    they differ; unknown: for how long; look: a new look at all routers, None if there was none; now: aware.
    """
    problems = {(v.kind, v.name): v.problem for v in verdicts if v.problem}
    groups = {g.metadata.name: g for g in snapshot.groups if ("ModelGroup", g.metadata.name) not in problems}
    states = dict(snapshot.rollout_states)
    for rollout in sorted(snapshot.rollouts, key=lambda r: _right(r, snapshot.rollout_states)):
        name, state = rollout.metadata.name, _state(rollout, states)
        seen = Seen(
            group=groups.get(rollout.spec.model_group),
            problem=problems.get(("CanaryRollout", name)) or _rival_problem(rollout, snapshot.rollouts, states),
            applied=_applied(rollout, state, running),
            unknown=unknown,
            look=look,
            primary=_primary(rollout, running),
        )
        states[name] = advance(rollout, state, seen, now=now)
    return states


def _primary(rollout: CanaryRollout, running: Router | None) -> str | None:
    group = running.group(rollout.spec.model_group) if running else None
    return group.members[0].name if group else None


def _applied(rollout: CanaryRollout, state: State, running: Router | None) -> int | None:
    """Percent that routers send to the canary of this run; None too while they run its weight for the period before."""
    if running is None:
        return None
    group = running.group(rollout.spec.model_group)
    canary = group.canary if group else None
    if canary is None or canary.rollout != state.run:
        return 0
    weight = canary.weight // 100
    return weight if canary.tag == state.tag or weight != state.weight else None


def _with_canary(group: Group, rollouts: Iterable[CanaryRollout], states: States, kept: Canary | None) -> Group:
    names = [member.name for member in group.members]
    wanted = (
        canary_of(rollout, _state(rollout, states), baseline=names[0])
        for rollout in rollouts
        if rollout.spec.model_group == group.name and rollout.spec.model in names[1:]
    )
    kept = kept if kept and kept.model in names[1:] else None
    canary = kept or next(filter(None, wanted), None)
    return group if canary == group.canary else group.model_copy(update={"canary": canary})


def _absent(group: str) -> Finding:
    words = f"ModelGroup '{group}' does not exist in this namespace; create it or correct the name."
    return Finding(Reason.MODEL_GROUP_NOT_FOUND, "spec.modelGroup", words)


def _broken(group: str) -> Finding:
    words = f"ModelGroup '{group}' has a mistake that its own status tells; correct that first."
    return Finding(Reason.MODEL_GROUP_INVALID, "spec.modelGroup", words)


def _model_problem(rollout: CanaryRollout, group: ModelGroup) -> Finding | None:
    spec, models = rollout.spec, [m.name for m in group.spec.models]
    if spec.model not in models:
        return Finding(
            Reason.MODEL_NOT_FOUND,
            "spec.model",
            f"ModelGroup '{spec.model_group}' has no model '{spec.model}' (it has {', '.join(models)}); add it to the"
            " chain or correct the name.",
        )
    if spec.model == models[0]:
        return Finding(
            Reason.CANARY_IS_PRIMARY,
            "spec.model",
            f"'{spec.model}' is the primary of ModelGroup '{spec.model_group}' already; name another of its models.",
        )
    return None


def _zone_problem(rollout: CanaryRollout) -> Finding | None:
    zone = unknown_zone(rollout.spec.freeze)
    words = f"There is no time zone '{zone}'; write one as in the IANA database, such as Europe/Berlin."
    return Finding(Reason.TIME_ZONE_UNKNOWN, "spec.freeze", words) if zone else None


def _price_problem(rollout: CanaryRollout, group: ModelGroup) -> Finding | None:
    """A cost gate says nothing without both prices, nor against a baseline that is free: there is no ratio to 0."""
    first, *others = group.spec.models
    canary = next(m for m in others if m.name == rollout.spec.model)
    free = first.price is None or first.price.free
    if rollout.spec.gates.cost is None or not (free or canary.price is None):
        return None
    return Finding(
        Reason.PRICE_MISSING,
        "spec.gates.cost",
        f"model '{first.name if free else canary.name}' has no price in ModelGroup '{group.metadata.name}' that costs"
        " could be compared by; add it there, or leave gates.cost out.",
    )


def _rival_problem(rollout: CanaryRollout, rollouts: Iterable[CanaryRollout], states: States) -> Finding | None:
    """Of several that are not over, the one under way has the group, else the oldest. One that is over must not come
    back to it then.
    """
    rivals = [r for r in rollouts if r.spec.model_group == rollout.spec.model_group and _state(r, states).live]
    first = min(rivals, key=lambda r: _right(r, states), default=rollout)
    return None if first.metadata.name == rollout.metadata.name else _taken(rollout, first.metadata.name)


def _taken(rollout: CanaryRollout, owner: str) -> Finding:
    return Finding(
        Reason.GROUP_HAS_ROLLOUT,
        "spec.modelGroup",
        f"CanaryRollout '{owner}' has ModelGroup '{rollout.spec.model_group}' already; wait until it is over and its"
        " model adopted, or delete it.",
    )


def _right(rollout: CanaryRollout, states: States) -> tuple[bool, datetime, str]:
    meta = rollout.metadata
    return not _state(rollout, states).step, meta.creation_timestamp or LONG_AGO, meta.name


def _state(rollout: CanaryRollout, states: States) -> State:
    return states.get(rollout.metadata.name, State())
