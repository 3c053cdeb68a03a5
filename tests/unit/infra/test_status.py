"""Statuses of all kinds: complete, readable by the API's own models, and unchanged when nothing changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from harness.manifests import group, key, model, rollout, snapshot
from turnout.api import ModelGroupStatus, ScopedKeyStatus
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.api.modelgroup_status import CircuitState
from turnout.decide.build import Decision, decide
from turnout.decide.canary.state import State
from turnout.decide.verdict import Verdict
from turnout.infra.observation import (
    GroupFigures,
    LaneState,
    ModelFigures,
    Observation,
    Programmed,
    Refusal,
)
from turnout.infra.status import Moment, object_status, presses, rollout_status, same

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


@pytest.mark.parametrize(
    ("limit", "routers", "split", "warned"), [(1, 2, True, True), (2, 2, True, False), (1, 2, False, False)]
)
def test_a_limit_that_split_leaves_nothing_is_told(limit: int, routers: int, split: bool, warned: bool) -> None:
    """Only where routers split it, and each one's part is less than a request."""
    few = snapshot(group("assistant", model("a", "http://a/v1")), key("few", limits={"requestsPerMinute": limit}))
    decision = decide(few, None, now=NOW)
    moment = replace(MOMENT, decision=decision, progress=Programmed("f" * 64, routers, routers), split=split)
    found = object_status(verdict_of("ScopedKey", decision), None, moment, {})
    ScopedKeyStatus.model_validate(found)
    told = [c["message"] for c in found["conditions"] if c["type"] == "LimitBelowRouters"]
    assert bool(told) == warned
    assert all("requestsPerMinute is 1, and 2 routers" in message for message in told)


WARMED_MS = int((NOW - timedelta(minutes=1)).timestamp() * 1000) + 1
FIGURES = GroupFigures(
    Decimal("0.25"),
    {
        "a": ModelFigures(
            requests_per_minute=Decimal("12"),
            tokens_per_minute=Decimal("3400"),
            share=Decimal("0.75"),
            first_attempt_share=Decimal("0.9"),
            error_rate=Decimal("0.1"),
            errors=(("timeout", Decimal("0.08")), ("rate_limited", Decimal("0.02"))),
            mean_ms=Decimal("250"),
            p95_ms=Decimal("900"),
            first_token_p95_ms=Decimal("120"),
            per_answer_ms=Decimal("600"),
            usual_ms=Decimal("300"),
            cost_per_1k_tokens=Decimal("0.002"),
        )
    },
)


def test_a_group_shows_what_it_runs_and_does() -> None:
    """Version, primary, URL, circuits and figures are all there; a model without traffic shows none."""
    lanes = (LaneState(LANE_A, CircuitState.CLOSED, warmed_ms=WARMED_MS), LaneState(LANE_A, CircuitState.CLOSED))
    found = status(Observation(lanes, {"assistant": FIGURES}))
    assert found["version"] == "f" * 64
    assert (found["primary"], found["modelCount"], found["fallbackShare"]) == ("a", 2, "0.25")
    assert found["models"] == [
        {
            "name": "a",
            "circuit": "Closed",
            "health": 68,
            "requestsPerMinute": "12",
            "tokensPerMinute": "3400",
            "share": "0.75",
            "firstAttemptShare": "0.9",
            "errorRate": "0.1",
            "errors": [{"class": "timeout", "share": "0.08"}, {"class": "rate_limited", "share": "0.02"}],
            "latency": {"mean": "250ms", "p95": "900ms", "firstTokenP95": "120ms", "usual": "300ms"},
            "costPer1kTokens": "0.002",
            "lastWarmed": "2026-11-19T23:59:00Z",
        },
        {"name": "b", "requestsPerMinute": "0"},
    ]


def test_an_operator_that_starts_again_changes_nothing() -> None:
    """Until routers were looked at, circuits, refusals and figures stay as they were."""
    refusal = Refusal(401, "bad key", 5)
    for circuit in CircuitState:
        lane = LaneState(LANE_A, circuit, refusal, WARMED_MS, "503")
        old = status(Observation((lane,), {"assistant": FIGURES}))
        assert same(old, status(Observation(), old))
        assert same(old, status(Observation((lane,)), old))


def test_what_is_usual_outlives_the_operator() -> None:
    """Its successor, which has not seen enough yet, goes on with what the status says."""
    lanes = (LaneState(LANE_A, CircuitState.CLOSED),)
    old = status(Observation(lanes, {"assistant": FIGURES}))
    fresh = GroupFigures(None, {"a": replace(FIGURES.models["a"], usual_ms=None)})
    assert status(Observation(lanes, {"assistant": fresh}), old)["models"] == old["models"]
    assert status(Observation(lanes, {"assistant": fresh}))["models"][0]["health"] == 90


def test_an_open_circuit_is_no_health_at_once() -> None:
    """Also when nothing was measured yet; one that is half-open leaves half of what it was."""
    old = {"models": [{"name": "a", "health": 90}]}
    for circuit, health in ((CircuitState.OPEN, 0), (CircuitState.HALF_OPEN, 50), (CircuitState.CLOSED, 90)):
        assert status(Observation((LaneState(LANE_A, circuit),)), old)["models"][0]["health"] == health


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


def test_a_model_that_fails_its_warm_up_is_named_until_it_answers() -> None:
    """On whichever router; with the latest words, and only while it lasts."""
    good = LaneState(LANE_B, CircuitState.CLOSED, None, WARMED_MS + 2)
    bad = replace(good, warmed_ms=WARMED_MS, warm_fault="old")
    worse = replace(good, warmed_ms=WARMED_MS + 1, warm_fault="401 bad key")
    found = {c["type"]: c for c in status(Observation((bad, good, worse)))["conditions"]}["FallbackUnverified"]
    assert (found["status"], found["message"]) == ("True", "b: 401 bad key.")
    assert "FallbackUnverified" not in {c["type"] for c in status(Observation((good,)))["conditions"]}


def test_every_model_is_named_however_much_providers_say() -> None:
    """At most 300 characters of each, and fewer where sixteen have to fit."""
    models = [model(f"m{i}", f"http://m{i}/v1") for i in range(16)]
    given = snapshot(group("assistant", *models))
    moment = replace(MOMENT, decision=decide(given, None, now=NOW))
    members = moment.decision.router.groups[0].members
    lanes = tuple(LaneState(m.lane.id, CircuitState.CLOSED, None, WARMED_MS, "x" * 999) for m in members)
    verdict = verdict_of("ModelGroup", moment.decision)
    for count in (1, 16):
        found = object_status(verdict, given.groups[0], replace(moment, seen=Observation(lanes[:count])), {})
        message = next(c["message"] for c in found["conditions"] if c["type"] == "FallbackUnverified")
        assert all(f"m{i}: xxx" in message for i in range(count))
        assert len(message) <= (310 if count == 1 else 1024)


def test_figures_and_words_of_providers_can_wait_but_nothing_else() -> None:
    """A write for each of them would never end."""
    refusal = Refusal(401, "request 1", 5)
    lane = LaneState(LANE_A, CircuitState.CLOSED, refusal, WARMED_MS, "request 2")
    old = status(Observation((lane,), {"assistant": FIGURES}))
    other = replace(lane, refusal=Refusal(401, "request 3", 6), warmed_ms=WARMED_MS + 10_000, warm_fault="request 4")
    waits = status(Observation((other,), {}), old)
    assert not same(old, waits)
    assert not presses(old, waits)
    for seen in (
        Observation((replace(lane, circuit=CircuitState.OPEN),), {"assistant": FIGURES}),
        Observation((replace(lane, warm_fault=None),), {"assistant": FIGURES}),
        Observation((replace(lane, refusal=None),), {"assistant": FIGURES}),
    ):
        assert presses(old, status(seen, old))
    assert presses(old, {**old, "version": "0"})


def test_a_version_is_shown_only_when_every_router_runs_it() -> None:
    """Half a roll-out is no version."""
    moment = replace(MOMENT, progress=Programmed("f" * 64, 2, 1))
    assert "version" not in object_status(verdict_of("ModelGroup"), SNAPSHOT.groups[0], moment, {})


KEYS: dict[str, tuple[dict[str, Any], Programmed, dict[str, Any], str, list[str], str]] = {
    "every router knows it": ({}, MOMENT.progress, {}, "Active", ["Active"], "True"),
    "routers do not know it yet": ({}, Programmed("v", 2, 1), {}, "Active", ["Active"], "False"),
    "a router is behind with something else": (
        {},
        Programmed("v", 2, 1),
        {"phase": "Active"},
        "Active",
        ["Active"],
        "False",
    ),
    "expired": ({"expiresAt": "2026-11-19T00:00:00Z"}, MOMENT.progress, {}, "Expired", ["Revoked"], "False"),
    "revoked": ({"revoked": True}, MOMENT.progress, {}, "Revoked", ["Revoked"], "True"),
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


def test_the_order_of_keyed_lists_is_no_difference() -> None:
    """The API server may list conditions and models in another order."""
    one = status(Observation())
    other = {**one, "conditions": one["conditions"][::-1], "models": one["models"][::-1]}
    assert same(one, other)
    assert not same(one, {**one, "version": "0"})


@pytest.mark.parametrize("phase", [RolloutPhase.ROLLED_BACK, RolloutPhase.ABORTED])
def test_what_is_over_stays_so_when_its_model_leaves_the_group(phase: RolloutPhase) -> None:
    """Taking a bad model out is the usual thing to do then; nothing is waited for."""
    one = rollout("r", modelGroup="assistant", model="bad", steps=[{"weight": 100}])
    given = replace(
        snapshot(group("assistant", model("good", "http://good/v1")), one),
        rollout_states={"r": State(phase, "Breach", "It failed.", run="1", runs=1, failed="x")},
    )
    decision = decide(given, None, now=NOW)
    [verdict] = [v for v in decision.verdicts if v.kind == "CanaryRollout"]
    moment = Moment(decision, Programmed("v", 1, 1), {}, Observation(), "", NOW)
    found = {c["type"]: (c["status"], c["reason"]) for c in rollout_status(verdict, moment, {})["conditions"]}
    assert found["ResolvedRefs"] == ("False", "ModelNotFound")
    assert (found["Ready"], found["Stalled"]) == (("False", "Breach"), ("True", "Breach"))
    assert "Reconciling" not in found
