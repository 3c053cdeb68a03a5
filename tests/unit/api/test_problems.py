"""Mistakes in words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.api.problems import Problem, problems

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
KIND = st.sampled_from(["ModelGroup", "ScopedKey", "CanaryRollout", "Pod"])
FIELD = st.sampled_from(
    ["models", "timeouts", "circuit", "warm", "scopes", "limits", "rotation", "steps", "gates", "model"]
)


@given(
    st.one_of(
        JSON, st.fixed_dictionaries({"kind": KIND | JSON, "metadata": JSON, "spec": st.dictionaries(FIELD, JSON)})
    )
)
def test_nothing_makes_the_check_raise(raw: Any) -> None:
    """Any JSON has its problems told; each has a reason."""
    assert all(problem.reason for problem in problems(raw))


@pytest.mark.parametrize("raw", [None, 1, "kind: ModelGroup", [], {}, {"kind": "Pod"}, {"kind": ["ModelGroup"]}])
def test_what_is_no_resource_of_ours_is_one_problem(raw: Any) -> None:
    """The kind, or the whole."""
    assert len(problems(raw)) == 1


def test_every_mistake_is_told_at_its_place() -> None:
    """Paths are in JSON names, lists with their index, and an unknown field comes with a guess."""
    raw = {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelGroup",
        "metadata": {"name": "a"},
        "spec": {
            "models": [
                {"name": "a", "endpoint": {"baseUrl": "https://a/v1"}},
                {"name": "b|c", "endpoint": {"baseURL": "https://b/v1"}, "price": {"input": 1, "output": "1"}},
            ],
            "zzz": 1,
        },
    }
    told = {problem.path: problem.reason for problem in problems(raw)}
    assert told["spec.models[0].endpoint.baseURL"] == "is required"
    assert told["spec.models[0].endpoint.baseUrl"] == 'unknown field; did you mean "baseURL"?'
    assert told["spec.models[1].name"].startswith("must be a model name of letters")
    assert told["spec.models[1].price.input"].startswith("must be a decimal number in quotes")
    assert told["spec.zzz"] == (
        "unknown field; the fields here are attemptsPerModel, circuit, delivery, models, ramp, timeouts, warm"
    )
    assert len(told) == 5


def test_a_reason_never_shows_the_value() -> None:
    """A credential that somebody wrote into the wrong field must not end in a log."""
    raw = {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelGroup",
        "metadata": {"name": "a"},
        "spec": {
            "models": [{"name": "sk-secret|", "endpoint": {"baseURL": "https://sk-secret@a/v1"}}],
            "ramp": "sk-secret",
        },
    }
    found = problems(raw)
    assert len(found) == 3
    assert "sk-secret" not in repr(found)


def test_a_status_in_a_manifest_is_not_looked_at() -> None:
    """The API server drops it too, so that what `kubectl get -o yaml` printed can be applied again."""
    raw = {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ScopedKey",
        "metadata": {"name": "a"},
        "spec": {"scopes": ["*"], "modelGroups": ["*"]},
        "status": {"phase": "Nonsense"},
    }
    assert problems(raw) == []


def test_a_rule_over_several_fields_blames_one() -> None:
    """Where a rule names a field, the path ends there."""
    raw = {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ScopedKey",
        "metadata": {"name": "turnout-router"},
        "spec": {"scopes": ["*"], "modelGroups": ["*"]},
    }
    assert problems(raw) == [
        Problem("spec.secretName", "Secrets named turnout-… belong to the operator: set secretName to another name")
    ]
