"""Rotations, step by step: what begins them, what ends them, what takes them back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from harness.manifests import key
from turnout.api import ScopedKey
from turnout.api.scopedkey import TokenState
from turnout.decide.facts import Facts, Rollout, RolloutState, Uses
from turnout.decide.issued import Failure, Issued, Restart, Revocation, Rotation, Step, Token
from turnout.decide.keys import key_state
from turnout.decide.rotation import (
    MOST_TOKENS,
    RETRY,
    advance,
    begin,
    due_at,
    is_due,
    is_emergency,
    look_at,
    revoke,
    take_on,
    unproven,
)
from turnout.decide.verdict import Phase

BORN = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
APP, WORKER = ("Deployment", "app"), ("StatefulSet", "worker")
CONSUMERS = [{"kind": kind, "name": name} for kind, name in (APP, WORKER)]
WATCHED = Uses(watched=(BORN, NOW))


def spec(**rotation: Any) -> ScopedKey:
    """A key with that rotation; `lifetime` among it is the key's own."""
    own = {"lifetime": rotation.pop("lifetime")} if "lifetime" in rotation else {}
    return ScopedKey.parse(key("app", **own, **({"rotation": rotation} if rotation else {})))


def token(name: str, state: TokenState = TokenState.ACTIVE, issued_at: datetime = BORN, **more: Any) -> Token:
    """A token of that id."""
    return Token(name, SecretStr(f"sk-turnout-{name}"), issued_at, state=state, **more)


def rotating(scoped: ScopedKey, *, emergency: bool = False) -> Issued:
    """A rotation from `old` to `new` that has just begun."""
    new = token("new", TokenState.PENDING, NOW)
    return begin(scoped, Issued((token("old"),)), new, emergency=emergency, now=NOW)


def states(issued: Issued) -> dict[str, str]:
    """Id → state of each token."""
    return {t.id: t.state.value for t in issued.tokens}


def run(scoped: ScopedKey, issued: Issued, *facts: Facts, now: datetime = NOW) -> Issued:
    """What is kept after these looks, a second apart."""
    for seconds, fact in enumerate(facts):
        issued = advance(scoped, issued, fact, now=now + timedelta(seconds=seconds))
    return issued


ACCEPTED = Facts(accepted=frozenset({"new"}))
WRITTEN = Facts(accepted=frozenset({"new"}), handed_out=True)


def rollouts(app: Rollout, worker: Rollout | None = None) -> Facts:
    """Everything well but these workloads."""
    return Facts(handed_out=True, rollouts={APP: app, **({WORKER: worker} if worker else {})})


def test_a_rotation_without_workloads_is_over_when_every_secret_holds_a_proven_token() -> None:
    """Programs have the old token until every router accepts the new one; then the old one drains."""
    scoped = spec(trigger="now")
    proving = rotating(scoped)
    assert proving.current is not None
    assert (proving.current.id, states(proving)) == ("old", {"old": "Active", "new": "Pending"})
    assert run(scoped, proving, Facts(handed_out=True)) == proving, "not proven"
    handing_out = run(scoped, proving, WRITTEN)
    assert handing_out.current is not None
    assert handing_out.current.id == "new"
    assert handing_out.rotation is not None
    assert handing_out.rotation.step is Step.HANDING_OUT, "one step at a time: the old Secrets were looked at"
    over = run(scoped, handing_out, WRITTEN)
    assert (over.rotation, over.failure, states(over)) == (None, None, {"old": "Draining", "new": "Active"})
    assert not is_due(scoped, over, now=NOW)


def test_workloads_are_restarted_one_after_the_other() -> None:
    """The second is told when the first is back; what it was before is kept before it is told."""
    scoped = spec(trigger="now", consumers=CONSUMERS)
    issued = run(scoped, rotating(scoped), ACCEPTED, WRITTEN)
    before, told = Rollout(RolloutState.DONE, "older"), Rollout(RolloutState.DONE, "new")
    under_way = Rollout(RolloutState.UNDER_WAY, "new")
    restarts = []
    for facts in (
        rollouts(before, Rollout(RolloutState.DONE)),
        rollouts(before, Rollout(RolloutState.DONE)),
        rollouts(under_way, Rollout(RolloutState.DONE)),
        rollouts(told, Rollout(RolloutState.DONE)),
        rollouts(told, under_way),
    ):
        issued = run(scoped, issued, facts)
        assert issued.rotation is not None
        restarts.append([(r.name, r.before) for r in issued.rotation.restarts])
    first = [("app", "older")]
    assert restarts == [first, first, first, [*first, ("worker", "")], [*first, ("worker", "")]]
    assert states(issued) == {"old": "Active", "new": "Pending"}
    assert states(run(scoped, issued, rollouts(told, told))) == {"old": "Draining", "new": "Active"}


@pytest.mark.parametrize(
    ("failing", "later", "why"),
    [
        (
            Rollout(RolloutState.FAILED, "new", "did not roll out: too slow"),
            MINUTE,
            "'worker' did not roll out: too slow",
        ),
        (Rollout(RolloutState.UNDER_WAY, "new", "has 0 of 2 pods restarted"), 11 * MINUTE, "'worker' has 0 of 2 pods"),
        (Rollout(RolloutState.UNDER_WAY, "", "cannot be restarted: 403"), 11 * MINUTE, "'worker' cannot be restarted"),
    ],
    ids=["its controller gives up", "our own deadline", "it cannot be changed"],
)
def test_a_workload_that_fails_takes_everything_back(failing: Rollout, later: timedelta, why: str) -> None:
    """Workloads get back what they were, Secrets the old token; the new one drains, as somebody may have it."""
    scoped = spec(trigger="now", consumers=CONSUMERS)
    told, was = Rollout(RolloutState.DONE, "new"), Rollout(RolloutState.DONE)
    issued = run(scoped, rotating(scoped), ACCEPTED, WRITTEN, rollouts(was, was), rollouts(told, was))
    back = run(scoped, issued, rollouts(told, failing), now=NOW + later)
    assert back.rotation is not None
    assert back.current is not None
    assert (back.rotation.step, back.current.id) == (Step.GOING_BACK, "old")
    assert why in back.rotation.failure
    for not_yet in (Facts(rollouts={APP: was, WORKER: was}), rollouts(told, was), rollouts(was, failing)):
        assert run(scoped, back, not_yet, now=NOW + later) == back
    over = run(scoped, back, rollouts(was, Rollout(RolloutState.MISSING)), now=NOW + later)
    assert (over.rotation, states(over)) == (None, {"old": "Active", "new": "Draining"})
    assert over.failure is not None
    assert why in over.failure.message
    assert not is_due(scoped, over, now=NOW + later), "the same trigger is not tried again"
    assert is_due(spec(trigger="again"), over, now=NOW + later)


def test_a_way_back_that_leads_nowhere_ends_and_leaves_both_tokens() -> None:
    """A workload that will not come back keeps the token that it has; nobody is cut off."""
    scoped = spec(trigger="now", consumers=CONSUMERS, rolloutTimeout="1m")
    told, stuck = Rollout(RolloutState.DONE, "new"), Rollout(RolloutState.UNDER_WAY, "")
    issued = run(scoped, rotating(scoped), ACCEPTED, WRITTEN, rollouts(Rollout(RolloutState.DONE)))
    back = run(scoped, issued, rollouts(Rollout(RolloutState.FAILED, "new", "failed"), told))
    over = run(scoped, back, rollouts(stuck), now=NOW + 2 * MINUTE)
    assert (over.rotation, states(over)) == (None, {"old": "Active", "new": "Draining"})
    assert over.failure is not None
    assert over.failure.message.endswith("; and it could not all be taken back: Deployment 'app' is not back")


def test_a_secret_that_cannot_be_written_takes_everything_back() -> None:
    """At once if the API server denies it, after a minute if it is only not there."""
    scoped = spec(trigger="now")
    issued = run(scoped, rotating(scoped), ACCEPTED)
    denied = run(scoped, issued, Facts(denied="Secret 'app' cannot be written: immutable"))
    assert denied.rotation is not None
    assert denied.rotation.step is Step.GOING_BACK
    failing = Facts(unwritten="Secret 'app' cannot be written: 500")
    assert run(scoped, issued, failing, now=NOW + timedelta(seconds=59)) == issued
    assert run(scoped, issued, Facts(), now=NOW + MINUTE) == issued, "it was only put off"
    late = run(scoped, issued, failing, now=NOW + MINUTE)
    assert late.rotation is not None
    assert late.rotation.step is Step.GOING_BACK
    assert states(run(scoped, denied, Facts(handed_out=True))) == {"old": "Active", "new": "Draining"}


def test_a_workload_that_is_deleted_meanwhile_is_not_waited_for() -> None:
    """Nobody is left who needs the token."""
    scoped = spec(trigger="now", consumers=CONSUMERS)
    issued = run(scoped, rotating(scoped), ACCEPTED, WRITTEN)
    gone = Rollout(RolloutState.MISSING)
    assert states(run(scoped, issued, rollouts(gone, gone))) == {"old": "Draining", "new": "Active"}


@pytest.mark.parametrize(
    ("rollout", "words"),
    [
        (Rollout(RolloutState.MISSING), "Deployment 'app' does not exist."),
        (Rollout(RolloutState.DONE, obstacle="is paused: resume it"), "Deployment 'app' is paused: resume it."),
    ],
)
def test_nothing_begins_while_a_workload_cannot_be_restarted(rollout: Rollout, words: str) -> None:
    """It is told before anything is changed."""
    scoped = spec(trigger="now", consumers=CONSUMERS[:1])
    issued = Issued((token("old"),))
    facts = Facts(handed_out=True, rollouts={APP: rollout}, uses=WATCHED)
    assert take_on(scoped, issued, facts, lambda: token("new"), now=NOW) == (issued, words)
    assert look_at(scoped, issued, now=NOW) is not None
    well = Facts(handed_out=True, rollouts={APP: Rollout(RolloutState.DONE)}, uses=WATCHED)
    begun, blocked = take_on(scoped, issued, well, lambda: token("new", TokenState.PENDING), now=NOW)
    assert (begun.rotation and begun.rotation.step, blocked) == (Step.PROVING, "")


def test_an_emergency_kills_the_old_tokens_before_anything_else() -> None:
    """Also those that drain, and those of a rotation under way; there is no way back from it."""
    scoped = spec(trigger="leak", emergency=True, consumers=CONSUMERS[:1])
    under_way = Issued((token("older", TokenState.DRAINING), token("old")), Rotation("old", Step.RESTARTING, NOW))
    assert is_emergency(scoped, under_way)
    issued = begin(scoped, under_way, token("new", TokenState.PENDING, NOW), emergency=True, now=NOW)
    assert states(issued) == {"older": "Revoked", "old": "Revoked", "new": "Pending"}
    assert (issued.current, [t.id for t in issued.known]) == (None, ["new"])
    assert not is_emergency(scoped, issued), "once for each trigger"
    assert is_emergency(spec(trigger="leak of the new one", emergency=True), issued)
    issued = run(scoped, issued, Facts(frozenset({"new"}), frozenset({"old"})), now=NOW + timedelta(milliseconds=250))
    assert issued.revocation is not None
    assert (issued.revocation.token, issued.revocation.took_ms) == ("old", 250)
    failing = Rollout(RolloutState.FAILED, "new", "did not roll out")
    issued = run(scoped, issued, WRITTEN, rollouts(Rollout(RolloutState.DONE)), rollouts(failing))
    assert states(issued) == {"older": "Revoked", "new": "Active"}
    assert issued.failure is not None
    assert issued.failure.emergency


def emergency(*facts: Facts) -> Issued:
    """What is kept after these looks, once every router accepts the new token of an emergency."""
    scoped = spec(trigger="leak", emergency=True, consumers=CONSUMERS)
    return run(scoped, rotating(scoped, emergency=True), ACCEPTED, *facts)


def test_in_an_emergency_a_workload_that_fails_keeps_no_other_from_the_new_token() -> None:
    """There is nothing to go back to, and the others hold a dead token; in the end it is told who failed."""
    was, told = Rollout(RolloutState.DONE), Rollout(RolloutState.DONE, "new")
    failed = Rollout(RolloutState.FAILED, "new", "did not roll out")
    issued = emergency(WRITTEN, rollouts(was, was), rollouts(failed, was))
    over = run(spec(trigger="leak", emergency=True, consumers=CONSUMERS), issued, rollouts(failed, told))
    assert (over.rotation, states(over)) == (None, {"old": "Revoked", "new": "Active"})
    assert over.failure == Failure(NOW, "Deployment 'app' did not roll out", emergency=True)


def test_in_an_emergency_workloads_are_restarted_at_one_time() -> None:
    """What they have is dead, and one that rolls out slowly must not keep the others from the new token."""
    was = Rollout(RolloutState.DONE)
    issued = emergency(WRITTEN, rollouts(was, was))
    assert issued.rotation is not None
    assert [r.name for r in issued.rotation.restarts] == ["app", "worker"]


@pytest.mark.parametrize("passes", [False, True])
def test_in_an_emergency_a_copy_that_fails_keeps_nobody_else_from_the_new_token(passes: bool) -> None:
    """Workloads read the Secrets of their own namespace. What failed is told at the end."""
    why = "Secret 'copy' in namespace 'b' cannot be written: it does not allow it"
    partly = Facts(at_home=True, unwritten=why, denied="" if passes else why)
    assert emergency(replace(partly, at_home=False)).rotation == emergency(Facts()).rotation
    issued = emergency(partly)
    assert issued.rotation is not None
    assert issued.rotation.step is Step.RESTARTING
    told = Rollout(RolloutState.DONE, "new")
    looks = [replace(partly, rollouts={APP: told, WORKER: told})] * 3
    issued, scoped = emergency(partly, *looks), spec(trigger="leak", emergency=True, consumers=CONSUMERS)
    assert (issued.rotation is None) is not passes, "what may pass is given a minute"
    well = run(scoped, issued, rollouts(told, told))
    assert (well.failure is None) is passes
    over = run(scoped, issued, looks[0], now=NOW + 2 * MINUTE)
    assert (over.rotation, over.failure and over.failure.message) == (None, why)


def test_a_key_whose_token_is_dead_does_not_wait_after_a_failure() -> None:
    """An hour without a token that works, where a lifetime is short."""
    scoped = spec(lifetime="2h")
    dies = NOW + timedelta(minutes=10)
    issued = Issued((token("old", issued_at=dies - timedelta(hours=2)),), failure=Failure(NOW, "it failed"))
    assert due_at(scoped, issued) == dies


def test_a_token_that_a_secret_may_still_hold_is_not_revoked_for_being_unused() -> None:
    """After a way back that ended late: the program that starts next reads it there."""
    scoped = spec(trigger="now", consumers=CONSUMERS, rolloutTimeout="1m")
    denied = "Secret 'copy' in namespace 'b' cannot be written: it does not allow it"
    lost = Facts(unwritten=denied, denied=denied, uses=WATCHED)
    back = replace(rotating(scoped), rotation=Rotation("new", Step.GOING_BACK, NOW, failure="Deployment 'app' failed"))
    over = run(scoped, back, lost, now=NOW + 2 * MINUTE)
    assert over.failure is not None
    assert over.failure.message == f"Deployment 'app' failed; and it could not all be taken back: {denied}"
    later = NOW + timedelta(days=3)
    watched = Uses(watched=(BORN, later))
    assert states(run(scoped, over, replace(lost, uses=watched), now=later))["new"] == "Draining"
    assert states(run(scoped, over, Facts(handed_out=True, uses=watched), now=later))["new"] == "Revoked"
    assert states(run(scoped, over, replace(lost, none_old=True, uses=watched), now=later))["new"] == "Revoked", (
        "a copy that is gone, or was right when its namespace withdrew the permission, holds nothing old"
    )


def test_who_wants_an_old_token_revoked_though_it_is_used_wants_it_though_a_secret_holds_it() -> None:
    """Else one copy that cannot be written would keep it alive for ever."""
    scoped = spec(trigger="now", overlap={"min": "1m", "max": "10m", "onStillUsed": "Revoke"})
    issued = Issued((token("old", TokenState.DRAINING, since=NOW), token("new")), trigger="now")
    assert states(run(scoped, issued, Facts(), now=NOW + 9 * MINUTE))["old"] == "Draining"
    assert states(run(scoped, issued, Facts(), now=NOW + 10 * MINUTE))["old"] == "Revoked"


@pytest.mark.parametrize("step", [Step.HANDING_OUT, Step.RESTARTING, Step.GOING_BACK])
def test_nothing_goes_back_to_a_token_whose_lifetime_is_over(step: Step) -> None:
    """Every router refuses it; the new one lives, and who can have it gets it, as in an emergency."""
    scoped = spec(trigger="now", lifetime="1d", consumers=CONSUMERS)
    dead = token("old", issued_at=NOW - timedelta(days=1))
    told = (Restart(*APP, before="old", at=NOW),) if step is not Step.HANDING_OUT else ()
    rotation = Rotation("new", step, NOW, restarts=told, failure="Deployment 'app' failed")
    issued = Issued((dead, token("new", TokenState.PENDING, NOW)), rotation, trigger="now")
    failed, done = Rollout(RolloutState.FAILED, "new", "did not roll out"), Rollout(RolloutState.DONE, "new")
    denied = Facts(at_home=True, unwritten="a copy is denied", denied="a copy is denied")
    looks = [replace(denied, rollouts={APP: failed, WORKER: seen}) for seen in (Rollout(RolloutState.DONE), done, done)]
    over = run(scoped, issued, denied, *looks)
    assert (over.rotation, over.current and over.current.id) == (None, "new")
    assert over.failure is not None
    assert over.failure.message == "a copy is denied; Deployment 'app' did not roll out"


def test_a_token_whose_lifetime_ends_before_every_router_takes_it_makes_room_for_another() -> None:
    """No router will ever accept it. Nobody has it, so it is forgotten: a namespace may be without routers for long."""
    scoped, later = spec(trigger="now", lifetime="1h"), NOW + timedelta(hours=1)
    first = Issued((token("first", TokenState.PENDING, NOW),), trigger="now")
    assert run(scoped, first, Facts(), now=later) == Issued(trigger="now")
    proving = rotating(scoped)
    after, why = take_on(scoped, proving, Facts(), lambda: token("next", TokenState.PENDING, later), now=later)
    assert (states(after), why) == ({"old": "Active", "next": "Pending"}, "")
    assert after.rotation == Rotation("next", Step.PROVING, later)


def test_a_token_whose_lifetime_ends_before_everybody_has_it_is_replaced_at_once() -> None:
    """Secrets that cannot be written for so long: what follows begins with a token that lives."""
    scoped, later = spec(trigger="now", lifetime="1h"), NOW + timedelta(hours=1)
    handing_out = run(scoped, rotating(scoped), ACCEPTED)
    after, _ = take_on(scoped, handing_out, Facts(), lambda: token("next", TokenState.PENDING, later), now=later)
    assert states(after) == {"old": "Revoked", "new": "Active", "next": "Pending"}


@pytest.mark.parametrize("rules", [{"every": "1d"}, {"trigger": "now"}])
def test_a_key_whose_time_is_over_does_not_rotate(rules: dict[str, Any]) -> None:
    """No router would ever accept the new token."""
    scoped = ScopedKey.parse(key("app", expiresAt="2026-11-10T00:00:00Z", rotation=rules))
    after, why = take_on(scoped, Issued((token("old"),)), Facts(), lambda: token("new"), now=NOW)
    assert (after, why) == (Issued((token("old"),)), "")


@pytest.mark.parametrize(
    ("step", "left"),
    [
        (Step.PROVING, {"old": "Active", "new": "Revoked"}),
        (Step.HANDING_OUT, {"old": "Draining", "new": "Active"}),
        (Step.RESTARTING, {"old": "Draining", "new": "Active"}),
        (Step.GOING_BACK, {"old": "Active", "new": "Draining"}),
    ],
)
def test_a_rotation_ends_with_its_key(step: Step, left: dict[str, str]) -> None:
    """It would wait for ever for routers that refuse every token of it; who has which stays as it is."""
    scoped = ScopedKey.parse(key("app", expiresAt="2026-11-10T00:00:00Z", rotation={"every": "1d"}))
    issued = rotating(scoped)
    assert issued.rotation is not None
    after = run(scoped, replace(issued, rotation=replace(issued.rotation, step=step)), Facts())
    assert (after.rotation, states(after)) == (None, left)


def test_only_what_had_to_die_at_once_is_remembered_with_its_time() -> None:
    """An old token that nobody used any more does not take the place of a leak."""
    leaked = Revocation("leaked", BORN, 412)
    ordinary = Issued((token("old", TokenState.REVOKED, since=BORN), token("new")), revocation=leaked)
    refused = Facts(refused=frozenset({"old", "new"}))
    assert run(spec(), ordinary, refused) == Issued((token("new"),), revocation=leaked)
    dead = run(spec(), revoke(ordinary, now=NOW), refused, now=NOW + timedelta(milliseconds=300))
    assert (dead.tokens, dead.revocation) == ((), Revocation("new", NOW, 300))


@pytest.mark.parametrize(
    ("rules", "trigger", "due"),
    [
        ({}, None, False),
        ({"trigger": "a"}, "a", False),
        ({"trigger": "b"}, "a", True),
        ({"trigger": "a"}, None, True),
        ({"every": "19d"}, None, True),
        ({"every": "30d"}, None, False),
        ({"lifetime": "27d"}, None, True),
        ({"lifetime": "90d"}, None, False),
        ({"lifetime": "90d", "every": "10d"}, None, True),
    ],
)
def test_a_rotation_is_due_by_time_or_trigger(rules: dict[str, Any], trigger: str | None, due: bool) -> None:
    """19 days after the issue."""
    assert is_due(spec(**rules), Issued((token("old"),), trigger=trigger), now=NOW) is due


def test_keys_of_one_age_do_not_rotate_together() -> None:
    """A thousand of a month spread over three days, none late."""
    scoped = spec(every="30d")
    found = [due_at(scoped, Issued((token(f"{n:08x}"),))) for n in range(1000)]
    moments = sorted(due - BORN for due in found if due)
    assert timedelta(days=27) <= moments[0] < timedelta(days=27, hours=1)
    assert timedelta(days=29, hours=23) < moments[-1] <= timedelta(days=30)
    crowd = max(sum(start <= moment < start + MINUTE for moment in moments) for start in moments)
    assert crowd < 10


def test_lifetimes_of_one_age_do_not_end_together_either() -> None:
    """Early, never late."""
    dues = [due_at(spec(lifetime="90d"), Issued((token(f"{n:08x}"),))) for n in range(1000)]
    moments = sorted(due - BORN for due in dues if due)
    assert timedelta(days=54) <= moments[0] < timedelta(days=55) < timedelta(days=59) < moments[-1]
    assert moments[-1] <= timedelta(days=60)


def test_a_failed_rotation_is_left_alone_for_a_while() -> None:
    """But not if another trigger asks."""
    failed = Issued((token("old"),), failure=Failure(NOW, "it failed"))
    scoped = spec(every="10d")
    assert not is_due(scoped, failed, now=NOW + RETRY - MINUTE)
    assert is_due(scoped, failed, now=NOW + RETRY)
    assert is_due(spec(every="10d", trigger="now"), failed, now=NOW)


def test_old_tokens_do_not_pile_up() -> None:
    """With eight of them the next rotation waits, and says for what."""
    many = tuple(token(f"d{n}", TokenState.DRAINING, since=NOW) for n in range(MOST_TOKENS - 1))
    full = Issued((*many, token("old")))
    after, why = take_on(spec(trigger="now"), full, Facts(), lambda: token("new"), now=NOW)
    assert (after, why) == (full, "It has 8 tokens; the oldest, d0, is Draining and must go first.")
    fewer = Issued((*many[1:], token("old")))
    assert take_on(spec(trigger="now"), fewer, Facts(), lambda: token("new"), now=NOW)[1] == ""


def used(ago: timedelta) -> Uses:
    """Token `old` was used so long ago; routers are watched all the time."""
    return Uses({"old": NOW - ago}, {}, (BORN, NOW))


DRAINS: dict[str, tuple[dict[str, Any], timedelta, Uses, bool]] = {
    "too young": ({}, 9 * MINUTE, WATCHED, False),
    "unused for ten minutes": ({}, 10 * MINUTE, WATCHED, True),
    "used five minutes ago": ({}, 60 * MINUTE, used(5 * MINUTE), False),
    "used ten minutes ago": ({}, 60 * MINUTE, used(10 * MINUTE), True),
    "watched for five minutes": ({}, 60 * MINUTE, Uses(watched=(NOW - 5 * MINUTE, NOW)), False),
    "a router does not answer": ({}, 60 * MINUTE, Uses(), False),
    "a router does not answer at the end": ({}, timedelta(hours=24), Uses(), True),
    "still used at the end": ({}, timedelta(hours=24), used(MINUTE), False),
    "still used, and no matter": (
        {"onStillUsed": "Revoke"},
        timedelta(hours=24),
        used(MINUTE),
        True,
    ),
    "watched for five minutes at the end": ({}, timedelta(hours=24), Uses(watched=(NOW - 5 * MINUTE, NOW)), False),
    "unused between two looks": (
        {"min": "4s"},
        60 * MINUTE,
        Uses({"old": NOW - 5 * SECOND}, {}, (BORN, NOW - 3 * SECOND)),
        False,
    ),
    "no overlap wanted": ({"min": "0s"}, timedelta(), WATCHED, True),
    "a clock that went back": ({}, -MINUTE, WATCHED, False),
}


@pytest.mark.parametrize("case", DRAINS)
def test_an_old_token_goes_when_nobody_uses_it(case: str) -> None:
    """Missing evidence is no evidence."""
    overlap, age, uses, goes = DRAINS[case]
    scoped = spec(trigger="x", overlap=overlap)
    old = token("old", TokenState.DRAINING, since=NOW - age)
    after = run(scoped, Issued((old, token("new", issued_at=NOW)), trigger="x"), Facts(handed_out=True, uses=uses))
    assert states(after)["old"] == ("Revoked" if goes else "Draining")
    if goes:
        assert [t.id for t in unproven(after)] == ["old"]
        assert states(run(scoped, after, Facts(refused=frozenset({"old"})))) == {"new": "Active"}


def test_an_old_token_is_looked_at_again_soon_though_the_clock_went_back() -> None:
    """By an hour, say, and a minute later forward again."""
    draining = Issued((token("old", TokenState.DRAINING, since=NOW), token("new", issued_at=NOW)), trigger="x")
    scoped = spec(trigger="x", overlap={"min": "1m"})
    assert look_at(scoped, draining, now=NOW) == NOW + MINUTE
    assert look_at(scoped, draining, now=NOW - timedelta(hours=1)) == NOW - timedelta(hours=1) + MINUTE


def test_a_lifetime_ends_what_drains_and_never_the_key() -> None:
    """A token whose lifetime is over is dropped; a key whose token could not be replaced in time still gets one."""
    scoped = spec(lifetime="10d")
    late = Issued((token("old"),))
    state = key_state(scoped, late, now=NOW)
    assert (state.phase, state.mint) == (Phase.EXPIRED, False)
    assert is_due(scoped, late, now=NOW)
    draining = Issued((token("old", TokenState.DRAINING, since=NOW), token("new", issued_at=NOW)))
    assert states(run(scoped, draining, Facts()))["old"] == "Revoked"


def test_a_first_token_is_used_when_every_router_accepts_it() -> None:
    """Not before."""
    first = Issued((token("new", TokenState.PENDING),))
    assert key_state(spec(), first, now=NOW).phase is Phase.PENDING
    assert first.current is None
    assert run(spec(), first, Facts()) == first
    proven = run(spec(), first, ACCEPTED)
    assert states(proven) == {"new": "Active"}
    assert key_state(spec(), proven, now=NOW).phase is Phase.ACTIVE
