"""Keys in motion: what is looked at for them, and how far they get."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from harness.manifests import key, snapshot, token
from turnout.api.scopedkey import TokenState
from turnout.apply.consumers import HandOut, Lack
from turnout.decide.build import Decision, decide
from turnout.decide.facts import Uses
from turnout.decide.herd import AT_LEAST
from turnout.decide.issued import Issued, Rotation, Step, Token
from turnout.infra.kinds import Kind
from turnout.watch.context import Context, now
from turnout.watch.rotator import BLOCKED_S, Moved, move, next_look

NOW = now()
PROGRAMS = [{"kind": "Deployment", "name": "one"}, {"kind": "StatefulSet", "name": "two"}]


class Cluster:
    """An API server with all workloads or none; it knows who was asked for."""

    def __init__(self, *, exists: bool = False) -> None:
        self.asked: list[str] = []
        self._exists = exists

    async def get(self, kind: Kind, _namespace: str, name: str) -> dict[str, Any] | None:
        """As it is."""
        self.asked.append(name)
        spec = {"template": {"metadata": {}}}
        return {"kind": kind.name, "metadata": {"generation": 1}, "spec": spec} if self._exists else None


def issued(name: str, *, older: TokenState, step: Step | None = None) -> Issued:
    """Two tokens of a key, of which the newer is in use, or is to come into use by a rotation."""
    rotation = Rotation(f"{name}-2", step, NOW) if step else None
    newer = TokenState.PENDING if step else TokenState.ACTIVE
    tokens = (Token(f"{name}-{n}", SecretStr(token(name) * n), NOW, state=s) for n, s in ((1, older), (2, newer)))
    return Issued(tuple(tokens), rotation, trigger="first")


def decided(trigger: str, **found: Issued) -> Decision:
    """Keys whose programs are restarted."""
    keys = [key(name, rotation={"trigger": trigger, "consumers": PROGRAMS}) for name in found]
    return decide(replace(snapshot(*keys), issued=found), None, now=NOW)


async def moved(
    decision: Decision, handed_out: HandOut, cluster: Cluster, blocked: frozenset[str] = frozenset()
) -> Moved:
    """One step of all of them; no router is there to be asked."""
    context = cast("Context", SimpleNamespace(kube=cluster, http=None))
    return await move(context, decision, handed_out, Uses(), [], blocked, lambda: False)


async def test_who_has_its_secrets_goes_on_while_others_wait_for_theirs() -> None:
    """A hand-out that is interrupted keeps nobody back whom it came to."""
    both = {name: issued(name, older=TokenState.ACTIVE, step=Step.HANDING_OUT) for name in ("a", "b")}
    result = await moved(decided("first", **both), HandOut(False, left=frozenset({"b"})), Cluster())
    assert {name: after.rotation and after.rotation.step for name, after in result.issued.items()} == {
        "a": Step.RESTARTING
    }


@pytest.mark.parametrize(
    ("lack", "in_emergency", "otherwise"),
    [
        (Lack("why", here=False, denied=True, outdated=False), [Step.RESTARTING], [Step.GOING_BACK]),
        (Lack("why", here=True, denied=True, outdated=False), [Step.RESTARTING], [Step.GOING_BACK]),
        (Lack("why", here=False, denied=False, outdated=True), [Step.RESTARTING], []),
        (Lack("why", here=True, denied=False, outdated=True), [], []),
    ],
)
async def test_an_emergency_goes_on_without_secrets_that_nobody_can_write(
    lack: Lack, in_emergency: list[Step], otherwise: list[Step]
) -> None:
    """Workloads read the Secrets of their own namespace, so it waits for one of those only, if that may pass; without
    an emergency the rotation goes back, unless it may pass.
    """
    found = issued("app", older=TokenState.REVOKED, step=Step.HANDING_OUT)
    for emergency, steps in ((True, in_emergency), (False, otherwise)):
        rotation = replace(found.rotation, emergency=emergency, since=now()) if found.rotation else None
        decision = decided("first", app=replace(found, rotation=rotation))
        result = await moved(decision, HandOut(True, {"app": (lack,)}), Cluster())
        assert [after.rotation and after.rotation.step for after in result.issued.values()] == steps


async def test_an_old_token_that_drains_is_no_reason_to_look_at_programs() -> None:
    """For a day, perhaps, and every five seconds, with a thousand keys."""
    cluster = Cluster()
    await moved(decided("first", app=issued("app", older=TokenState.DRAINING)), HandOut(True), cluster)
    assert cluster.asked == []


async def test_programs_are_looked_at_before_a_rotation_begins() -> None:
    """One that is missing is told, and nothing has been changed."""
    cluster = Cluster()
    result = await moved(decided("second", app=issued("app", older=TokenState.DRAINING)), HandOut(True), cluster)
    assert cluster.asked == ["one", "two"]
    assert result.issued == {}
    assert result.blocked == {"app": "Deployment 'one' does not exist. StatefulSet 'two' does not exist."}


async def test_who_cannot_begin_keeps_no_other_from_it() -> None:
    """Of keys that are overdue together some begin at once; those whose programs are missing are no part of them."""
    cluster = Cluster()
    before = NOW - timedelta(days=90)
    rules = {"every": "30d", "consumers": PROGRAMS}
    names = [f"k{n:02}" for n in range(3 * AT_LEAST)]
    found = {n: Issued((Token(n, SecretStr(token(n)), before),)) for n in names}
    given = replace(snapshot(*(key(n, rotation=rules) for n in names)), issued=found)
    decision = decide(given, None, now=NOW)
    first = await moved(decision, HandOut(True), cluster)
    assert set(first.blocked) == set(names[:AT_LEAST])
    assert len(cluster.asked) == 2 * AT_LEAST, "programs of those that wait are not looked at"
    assert first.waiting == set(names[AT_LEAST:])
    second = await moved(decision, HandOut(True), cluster, frozenset(first.blocked))
    assert set(second.blocked) == set(names[: 2 * AT_LEAST])
    there = Cluster(exists=True)
    repaired = await moved(decision, HandOut(True), there, frozenset(names))
    assert len(repaired.issued) == AT_LEAST, "and when the obstacle of all of them goes, they do not begin at once"


def test_a_rotation_that_cannot_begin_is_tried_again_without_haste() -> None:
    """Each try is a run of the whole namespace; but a token that must be proven dead is looked at all the same."""
    at_rest = decided("second", app=issued("app", older=TokenState.DRAINING))
    assert next_look(at_rest, {"app"}, NOW) == [BLOCKED_S]
    assert next_look(at_rest, set(), NOW) == [1]
    assert next_look(decided("second", app=issued("app", older=TokenState.REVOKED)), {"app"}, NOW) == [1]
