"""What holds for every rollout, whatever happens to it, its routers and its operator."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.manifests import model
from harness.rollouts import ALL_GATES, Playground, answers, kept
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.decide.canary.freeze import frozen_until
from turnout.decide.canary.rollout import canary_of

AT_NOTHING = {RolloutPhase.PENDING, RolloutPhase.PAUSED, RolloutPhase.ROLLED_BACK, RolloutPhase.ABORTED}
UNDER_WAY = {RolloutPhase.PROGRESSING, RolloutPhase.HOLDING, RolloutPhase.PAUSED, RolloutPhase.PROMOTED}
FREEZE = [{"from": "2026-11-23T09:02:00Z", "to": "2026-11-23T09:06:00Z"}]
SPECS = st.fixed_dictionaries(
    {
        "onBreach": st.sampled_from(["Rollback", "Hold"]),
        "bake": st.sampled_from(["0s", "2m"]),
        "freeze": st.sampled_from([[], FREEZE]),
        "gates": st.just({**ALL_GATES, "minRequests": 50}),
    }
)


@dataclass(frozen=True)
class Event:
    """What happens before a look: requests of the arms on a router, late ones of the period before, ones of the canary
    that never end, and changes.
    """

    seconds: int
    router: str
    canary: int
    failing: bool
    baseline: int
    late: int
    pending: int
    change: tuple[str, Any]


CHANGES = st.sampled_from(
    [
        *[("nothing", None)] * 6,
        *(("spec", {flag: value}) for flag in ("paused", "promote", "abort") for value in (True, False)),
        *(("silent", names) for names in (set(), set(), {"a"}, {"b"})),
        ("broken", {"a"}),
        ("broken", set()),
        ("applied", 0),
        ("applied", None),
        ("applied", None),
        ("restart", "a"),
        ("models", "http://elsewhere/v1"),
        ("spec", {"gates": {**ALL_GATES, "minRequests": 60}}),
    ]
)
EVENTS = st.lists(
    st.builds(
        Event,
        seconds=st.sampled_from([5, 10, 40, 90, -30]),
        router=st.sampled_from("ab"),
        canary=st.sampled_from([0, 3, 40, 100]),
        failing=st.sampled_from([False] * 9 + [True]),
        baseline=st.sampled_from([0, 40, 200]),
        late=st.sampled_from([0, 0, 60]),
        pending=st.sampled_from([0, 0, 30]),
        change=CHANGES,
    ),
    min_size=10,
    max_size=40,
)


def happen(play: Playground, event: Event) -> None:
    """The requests, the change, and the look."""
    canary = answers(0 if event.failing else event.canary, event.canary if event.failing else 0)
    play.serve(
        replace(canary, pending=event.pending),
        answers(event.baseline),
        router=event.router,
    )
    play.serve(answers(0, event.late), answers(event.late), router=event.router, drawn=play.left)
    name, value = event.change
    if name == "spec":
        spec = {**play.spec, **value}
        play.spec = spec if not (spec.get("promote") and spec.get("abort")) else play.spec
    elif name == "restart":
        play.routers[event.router] = {}
    elif name == "models":
        play.models[1] = model("gpt", value)
    elif name != "nothing":
        setattr(play, name, value)
    play.look(event.seconds)


@given(SPECS, EVENTS)
def test_weights_rise_by_the_rules_only(spec: dict[str, Any], events: list[Event]) -> None:
    """Not in a freeze, not paused, not held at a breach; by one step, after enough requests of both arms at the weight
    that it had, but for a person's promote or resume.
    """
    play, asked = Playground(**spec), (0, 0)
    for event in events:
        before = play.state
        asked = asked[0] + event.canary, asked[1] + event.baseline
        happen(play, event)
        after, wanted = play.state, play.rollout.spec
        canary = canary_of(play.rollout, after, baseline="old")
        assert (canary.weight if canary else 0) == after.weight * 100
        assert bool(after.weight) == bool(after.step)
        assert after.phase in (UNDER_WAY if after.step else AT_NOTHING)
        risen, asked_then = after.weight > before.weight, asked
        asked = asked if after.weight == before.weight else (0, 0)
        if not risen:
            continue
        assert not wanted.paused
        assert not wanted.abort
        assert frozen_until(wanted.freeze, play.now) is None
        if wanted.promote or before.phase is RolloutPhase.ABORTED:
            continue
        assert (before.phase, before.reason) != (RolloutPhase.HOLDING, "Breach") or before.hashes != after.hashes
        assert after.step == before.step + 1
        assert not before.step or min(asked_then) >= wanted.gates.min_requests


@given(SPECS, EVENTS, st.sets(st.integers(0, 40)))
def test_a_crash_between_any_two_looks_changes_nothing(
    spec: dict[str, Any], events: list[Event], crashes: set[int]
) -> None:
    """What the status holds is all: the same decisions, weights and evidence as without a crash."""
    steady, shaken = Playground(**spec), Playground(**spec)
    for number, event in enumerate(events):
        happen(steady, event)
        if number in crashes:
            shaken.state = kept(shaken.rollout, shaken.state)
        happen(shaken, event)
    assert shaken.state == steady.state


@given(SPECS, EVENTS)
def test_evidence_is_never_more_than_what_was_asked_in_its_period(spec: dict[str, Any], events: list[Event]) -> None:
    """Each counts once at most, over silent and broken routers, restarts, and changes of steps; late ones never."""
    play, asked, period = Playground(**spec), [0, 0, 0], -1
    for event in events:
        happen(play, event)
        book, came = play.state.ledger, (event.canary, event.baseline, event.pending)
        asked = [a + b for a, b in zip(asked, came, strict=True)] if book.period == period else [0, 0, 0]
        period = book.period
        assert book.canary.requests <= asked[0]
        assert book.baseline.requests <= asked[1]
        assert 0 <= book.canary.pending <= asked[2]
