"""Statuses of all kinds: complete, readable by the API's own models, and unchanged when nothing changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from harness.manifests import group, key, model, snapshot
from turnout.api import CanaryRolloutStatus, ModelGroupStatus, ScopedKeyStatus
from turnout.api.modelgroup import CircuitState
from turnout.decide.build import Decision, decide
from turnout.decide.verdict import Verdict
from turnout.infra.observation import (
    GroupFigures,
    LaneState,
    ModelFigures,
    Observation,
    Programmed,
    Refusal,
)
from turnout.infra.status import Moment, object_status, same

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SNAPSHOT = snapshot(group("assistant", model("a", "http://a/v1"), model("b", "http://b/v1")), key("app", "assistant"))
DECISION = decide(SNAPSHOT, None, now=NOW)
GROUP = DECISION.router.groups[0]
LANE_A, LANE_B = (member.lane.id for member in GROUP.members)
PROGRESS = Programmed("f" * 64, 2, 2)
MOMENT = Moment(DECISION, PROGRESS, {}, Observation(), "http://turnout-router.ai.svc/v1", NOW)


def verdict_of(kind: str, decision: Decision = DECISION) -> Verdict:
    """The verdict on the only object of that kind."""
    return next(v for v in decision.verdicts if v.kind == kind)


def status(seen: Observation, old: dict[str, Any] | None = None) -> dict[str, Any]:
    """The group's status with what was seen of its routers."""
    moment = replace(MOMENT, seen=seen)
    found = object_status(verdict_of("ModelGroup"), SNAPSHOT.groups[0], moment, old or {})
    ModelGroupStatus.model_validate(found)
    return found


FIGURES = GroupFigures(
    Decimal("0.25"),
    {
        "a": ModelFigures(
            Decimal("12"), Decimal("0.75"), Decimal("0.1"), Decimal("250"), Decimal("900"), Decimal("0.002")
        )
    },
)


def test_a_group_shows_what_it_runs_and_does() -> None:
    """Version, primary, URL, circuits and figures are all there; a model without traffic shows none."""
    found = status(Observation((LaneState(LANE_A, CircuitState.CLOSED),), {"assistant": FIGURES}))
    assert found["version"] == "f" * 64
    assert (found["primary"], found["modelCount"], found["fallbackShare"]) == ("a", 2, "0.25")
    assert found["models"] == [
        {
            "name": "a",
            "circuit": "Closed",
            "requestsPerMinute": "12",
            "share": "0.75",
            "errorRate": "0.1",
            "latency": {"mean": "250ms", "p95": "900ms"},
            "costPer1kTokens": "0.002",
        },
        {"name": "b", "requestsPerMinute": "0"},
    ]


def test_an_operator_that_starts_again_changes_nothing() -> None:
    """Until routers were looked at, circuits, refusals and figures stay as they were."""
    refusal = Refusal(401, "bad key", 5)
    old = status(Observation((LaneState(LANE_A, CircuitState.OPEN, refusal),), {"assistant": FIGURES}))
    assert same(old, status(Observation(), old))


def test_a_circuit_is_the_worst_of_all_routers() -> None:
    """One router with an open circuit is enough to be shown."""
    lanes = [LaneState(LANE_B, CircuitState(state)) for state in ("Closed", "Open", "HalfOpen")]
    assert status(Observation(tuple(lanes)))["models"][1]["circuit"] == "Open"


def test_a_refusing_provider_is_named_with_its_latest_words() -> None:
    """The condition names the model and quotes the provider; without a refusal there is no such condition."""
    lanes = (
        LaneState(LANE_B, CircuitState.CLOSED, Refusal(404, "no such model", 9)),
        LaneState(LANE_B, CircuitState.CLOSED, Refusal(401, "bad key", 5)),
    )
    found = {c["type"]: c for c in status(Observation(lanes))["conditions"]}
    assert found["ProviderRefused"]["message"] == "b: 404 no such model."
    assert "ProviderRefused" not in {c["type"] for c in status(Observation(()))["conditions"]}


def test_a_version_is_shown_only_when_every_router_runs_it() -> None:
    """Half a roll-out is no version."""
    moment = replace(MOMENT, progress=Programmed("f" * 64, 2, 1))
    assert "version" not in object_status(verdict_of("ModelGroup"), SNAPSHOT.groups[0], moment, {})


KEYS: dict[str, tuple[dict[str, Any], Programmed, dict[str, Any], str, list[str], str]] = {
    "every router knows it": ({}, MOMENT.progress, {}, "Active", ["Active"], "True"),
    "routers do not know it yet": ({}, Programmed("v", 2, 1), {}, "Pending", ["Pending"], "False"),
    "a router is behind with something else": (
        {},
        Programmed("v", 2, 1),
        {"phase": "Active"},
        "Active",
        ["Active"],
        "False",
    ),
    "expired": ({"expiresAt": "2026-11-19T00:00:00Z"}, MOMENT.progress, {}, "Expired", [], "False"),
    "revoked": ({"revoked": True}, MOMENT.progress, {}, "Revoked", [], "True"),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_key_shows_its_phase(case: str) -> None:
    """Phase, tokens and Ready of a key; a token's text is never among them."""
    spec, progress, old, phase, tokens, ready = KEYS[case]
    decision = decide(snapshot(key("app", **spec)), None, now=NOW)
    moment = replace(MOMENT, decision=decision, progress=progress)
    found = object_status(verdict_of("ScopedKey", decision), None, moment, old)
    ScopedKeyStatus.model_validate(found)
    assert found["phase"] == phase
    assert [token["state"] for token in found["tokens"]] == tokens
    assert next(c["status"] for c in found["conditions"] if c["type"] == "Ready") == ready
    assert "sk-turnout" not in str(found)


def test_a_key_whose_secret_cannot_be_written_says_so() -> None:
    """Routers know it, but the program does not; the others are not concerned."""
    decision = decide(snapshot(key("app")), None, now=NOW)
    moment = replace(MOMENT, decision=decision, unwritten={"app": "Secret 'app' cannot be written: immutable"})
    found = object_status(verdict_of("ScopedKey", decision), None, moment, {})
    ready = next(c for c in found["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"], ready["message"][:12]) == ("False", "ApplyFailed", "Secret 'app'")


def test_a_lifetime_becomes_a_date() -> None:
    """The date counts from the issue of the token."""
    decision = decide(snapshot(key("app", lifetime="90d")), None, now=NOW)
    found = object_status(verdict_of("ScopedKey", decision), None, replace(MOMENT, decision=decision), {})
    issued_at = datetime(2026, 11, 1, tzinfo=UTC)
    assert found["expiresAt"] == (issued_at + timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_rollout_says_that_it_does_nothing_yet() -> None:
    """Not silently: Ready is False, and it never will be without a newer version."""
    verdict = Verdict("CanaryRollout", "r", 1, unsupported=("spec",))
    found = object_status(verdict, None, MOMENT, {})
    CanaryRolloutStatus.model_validate(found)
    shown = {c["type"]: (c["status"], c["reason"]) for c in found["conditions"]}
    assert shown["Ready"] == ("False", "NotYetSupported")
    assert {"Stalled", "NotYetSupported"} <= shown.keys()


def test_the_order_of_keyed_lists_is_no_difference() -> None:
    """The API server may list conditions and models in another order."""
    one = status(Observation())
    other = {**one, "conditions": one["conditions"][::-1], "models": one["models"][::-1]}
    assert same(one, other)
    assert not same(one, {**one, "version": "0"})
