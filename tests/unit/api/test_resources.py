"""The three resources as Python sees them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from turnout.api import (
    CanaryRollout,
    Circuit,
    Condition,
    ConditionStatus,
    ConditionType,
    Delivery,
    ModelGroup,
    ModelGroupStatus,
)
from turnout.api.quantities import format_decimal, format_duration

API_VERSION = "turnout.dev/v1alpha1"
NAMES = st.from_regex(r"[A-Za-z0-9@][A-Za-z0-9._:@/-]{0,20}", fullmatch=True)
PRICES = st.decimals(0, 999_999, places=6).map(format_decimal)


def span(least_ms: int, most_ms: int) -> st.SearchStrategy[str]:
    """Durations as text."""
    return st.integers(least_ms, most_ms).map(lambda count: format_duration(timedelta(milliseconds=count)))


DEADLINES = span(10, 3_600_000)
CIRCUITS = st.fixed_dictionaries(
    {},
    optional={
        "failures": st.integers(1, 1000),
        "recovery": span(100, 3_600_000),
        "halfOpenRequests": st.integers(1, 9),
    },
)
MODELS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "endpoint": st.just({"baseURL": "https://api.openai.com/v1", "apiKeySecretRef": {"name": "a", "key": "b"}}),
    },
    optional={
        "upstreamName": NAMES,
        "price": st.fixed_dictionaries({"input": PRICES, "output": PRICES}, optional={"cachedInput": PRICES}),
        "capacity": st.fixed_dictionaries(
            {"requestsPerMinute": st.integers(1, 9999)}, optional={"concurrentRequests": st.integers(1, 9999)}
        ),
        "contextWindow": st.integers(1, 100_000_000),
        "features": st.lists(st.sampled_from(["tools", "vision", "audio", "json_schema"]), unique=True),
        "circuit": CIRCUITS,
    },
)
GROUP_SPECS = st.fixed_dictionaries(
    {"models": st.lists(MODELS, min_size=1, max_size=16, unique_by=lambda model: model["name"])},
    optional={
        "attemptsPerModel": st.integers(1, 3),
        "delivery": st.sampled_from(["Live", "Complete"]),
        "timeouts": st.fixed_dictionaries(
            {},
            optional={
                "firstToken": DEADLINES,
                "idle": DEADLINES,
                "request": DEADLINES,
                "total": span(3_600_000, 3_600_000),
            },
        ),
        "circuit": CIRCUITS,
        "ramp": span(0, 3_600_000),
        "warm": st.fixed_dictionaries({"every": span(10_000, 86_400_000)}),
    },
)


def group(**spec: Any) -> dict[str, Any]:
    """A ModelGroup as JSON; by default with one model."""
    models = [{"name": "gpt-4.1", "endpoint": {"baseURL": "https://api.openai.com/v1"}}]
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelGroup",
        "metadata": {"name": "assistant"},
        "spec": {"models": models, **spec},
    }


def key(**spec: Any) -> dict[str, Any]:
    """A ScopedKey as JSON."""
    spec = {"scopes": ["chat:create"], "modelGroups": ["assistant"], **spec}
    return {"apiVersion": API_VERSION, "kind": "ScopedKey", "metadata": {"name": "billing"}, "spec": spec}


def rollout() -> dict[str, Any]:
    """A CanaryRollout as JSON."""
    spec = {"modelGroup": "assistant", "model": "gpt-4.1", "steps": [{"weight": 5, "hold": "1h"}, {"weight": 100}]}
    return {"apiVersion": API_VERSION, "kind": "CanaryRollout", "metadata": {"name": "to-gpt"}, "spec": spec}


def subset(part: Any, whole: Any) -> bool:
    """Whether all that `part` says stands in `whole`, defaults in `whole` aside."""
    if isinstance(part, dict):
        return all(name in whole and subset(value, whole[name]) for name, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(subset, part, whole))
    return bool(part == whole)


@given(GROUP_SPECS)
def test_a_group_survives_the_round_trip(spec: dict[str, Any]) -> None:
    """JSON → model → JSON says all that was said, and reads back as the same model."""
    parsed = ModelGroup.parse(group(**spec))
    written = parsed.to_json()
    assert subset(spec, written["spec"])
    assert ModelGroup.parse(written) == parsed


def test_the_defaults_are_those_of_the_design() -> None:
    """A group that says only its chain has these values."""
    spec = ModelGroup.parse(group()).spec
    assert spec.attempts_per_model == 1
    assert spec.delivery is Delivery.LIVE
    assert (spec.timeouts.first_token, spec.timeouts.idle) == (timedelta(seconds=10), timedelta(seconds=30))
    assert (spec.timeouts.request, spec.timeouts.overall) == (timedelta(seconds=300), timedelta(seconds=600))
    assert spec.circuit == Circuit(failures=5, recovery=timedelta(seconds=30), half_open_requests=3)
    assert spec.ramp == timedelta(seconds=60)
    assert spec.models[0].fallback
    assert (spec.models[0].features, spec.warm.every) == (None, timedelta(0))
    gates = CanaryRollout.parse(rollout()).spec.gates
    assert (gates.error_rate.max_increase, gates.min_requests, gates.confidence) == (
        Decimal("0.01"),
        200,
        Decimal("0.95"),
    )


def test_json_names_count_and_python_names_only_in_code() -> None:
    """A manifest in snake_case is refused, as the API server does; a constructor takes Python names."""
    with pytest.raises(ValidationError, match="attempts_per_model"):
        ModelGroup.parse(group(attempts_per_model=2))
    assert Circuit(half_open_requests=2).half_open_requests == 2


def test_null_is_a_field_left_out() -> None:
    """As it is to the API server."""
    parsed = ModelGroup.parse(group(ramp=None, warm=None))
    assert parsed.spec.ramp == timedelta(seconds=60)


def test_a_resource_cannot_be_changed() -> None:
    """Models are frozen."""
    parsed = ModelGroup.parse(group())
    with pytest.raises(ValidationError, match="frozen"):
        parsed.spec.ramp = timedelta()  # type: ignore[misc]


def test_a_models_own_circuit_fills_up_from_the_group() -> None:
    """What the model does not say is as the group says; a model that says nothing has the group's circuit."""
    models = [
        {"name": "a", "endpoint": {"baseURL": "https://a/v1"}, "circuit": {"recovery": "5s"}},
        {"name": "b", "endpoint": {"baseURL": "https://b/v1"}},
    ]
    spec = ModelGroup.parse(group(models=models, circuit={"failures": 9})).spec
    assert spec.circuit_of(spec.models[0]) == Circuit(failures=9, recovery=timedelta(seconds=5), half_open_requests=3)
    assert spec.circuit_of(spec.models[1]) == spec.circuit


def test_all_attempts_together_have_time_for_one_unless_told_otherwise() -> None:
    """Left out, the deadline over all attempts is 10m, or that of one attempt where it is longer; a word of one's own
    may be shorter than the defaults, but not than what one wrote beside it.
    """
    overall = lambda **times: ModelGroup.parse(group(timeouts=times)).spec.timeouts.overall  # noqa: E731
    assert overall(request="1h") == overall(firstToken="1h") == timedelta(hours=1)
    assert overall(request="20m", total="30m") == timedelta(minutes=30)
    assert overall(total="1s") == timedelta(seconds=1)
    for name in ("firstToken", "request"):
        with pytest.raises(ValidationError, match="total must not be shorter"):
            overall(**{name: "2s"}, total="1s")


def test_a_status_of_another_version_does_no_harm() -> None:
    """Unknown fields in a status are dropped, and one that makes no sense is none: the operator writes it anew."""
    newer = group() | {"status": {"observedGeneration": 3, "novelty": 1}}
    status = ModelGroup.parse(newer).status
    assert status is not None
    assert status.observed_generation == 3
    assert ModelGroup.parse(group() | {"status": {"conditions": [{"type": "Novel"}]}}).status is None


def test_a_status_is_written_as_kubernetes_writes_it() -> None:
    """CamelCase, times in whole seconds UTC, nothing that is unknown."""
    condition = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.TRUE,
        reason="Serving",
        message="All routers run it.",
        observed_generation=2,
        last_transition_time=datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC),
    )
    status = ModelGroupStatus(
        observed_generation=2, conditions=(condition,), fallback_share=Decimal("0.012"), model_count=3
    )
    assert status.to_json() == {
        "observedGeneration": 2,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Serving",
                "message": "All routers run it.",
                "observedGeneration": 2,
                "lastTransitionTime": "2026-11-22T01:02:03Z",
            }
        ],
        "modelCount": 3,
        "fallbackShare": "0.012",
        "models": [],
    }


def test_metadata_of_the_api_server_is_read() -> None:
    """All that a live object carries is taken; what Turnout needs is typed."""
    raw = group()
    raw["metadata"] |= {
        "namespace": "ai",
        "uid": "1c8a592a",
        "generation": 4,
        "resourceVersion": "77",
        "creationTimestamp": "2026-11-22T18:00:38Z",
        "annotations": {"argocd.argoproj.io/tracking-id": "x"},
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
        "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "y", "uid": "z", "controller": True}],
        "finalizers": ["a/b"],
    }
    metadata = ModelGroup.parse(raw).metadata
    assert (metadata.namespace, metadata.generation) == ("ai", 4)
    assert metadata.creation_timestamp == datetime(2026, 11, 22, 18, 0, 38, tzinfo=UTC)
