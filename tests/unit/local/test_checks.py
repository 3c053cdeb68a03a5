"""Every mistake in a directory at its line, as `turnout check` prints them."""

from datetime import UTC, datetime

import pytest

from turnout.local.checks import all_mistakes
from turnout.local.documents import read
from turnout.local.manifests import Manifests, classify, without_duplicates

NOW = datetime(2026, 11, 22, tzinfo=UTC)

GOOD = """\
apiVersion: turnout.dev/v1alpha1
kind: ModelGroup
metadata: {name: g}
spec:
  models:
  - name: a
    endpoint: {baseURL: "https://a.example/v1", apiKeySecretRef: {name: s, key: k}}
  - name: b
    endpoint:
      baseURL: "https://b.example/v1"
      apiKeySecretRef: {name: s, key: k}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {k: v}
---
apiVersion: turnout.dev/v1alpha1
kind: ScopedKey
metadata: {name: key}
spec: {scopes: [chat:create], modelGroups: [g]}
---
apiVersion: turnout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: r}
spec: {modelGroup: g, model: b, steps: [{weight: 5, hold: 1h}, {weight: 100}]}
"""


def found(text: str) -> Manifests:
    """The manifests of one file."""
    documents = read("f.yaml", text.encode())
    assert isinstance(documents, list)
    return without_duplicates(classify(documents, {}))


def lines(text: str, *, secrets_elsewhere: bool = False) -> list[str]:
    """The mistakes in one file, as they are printed."""
    return [str(m) for m in all_mistakes(found(text), now=NOW, secrets_elsewhere=secrets_elsewhere)]


def test_good_manifests_have_no_mistake() -> None:
    """Nothing is said about what is right."""
    assert lines(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "name: s, key: k}}",
            "name: t, key: k}}",
            "f.yaml:7: spec.models[0].endpoint.apiKeySecretRef: Secret 't' does not",
        ),
        (
            "      apiKeySecretRef: {name: s, key: k}",
            "      apiKeySecretRef: {name: s, key: x}",
            "f.yaml:11: spec.models[1].endpoint.apiKeySecretRef: Secret 's' has no key 'x'",
        ),
        ("k: v", "k: 'a b'", "f.yaml:7: spec.models[0].endpoint.apiKeySecretRef: Key 'k' of Secret 's' is no API key"),
        ("modelGroups: [g]", "modelGroups: [g, h]", "f.yaml:21: spec.modelGroups[1]: ModelGroup 'h' does not exist"),
        ("modelGroup: g", "modelGroup: h", "f.yaml:26: spec.modelGroup: ModelGroup 'h' does not exist"),
        ("model: b", "model: c", "f.yaml:26: spec.model: ModelGroup 'g' has no model 'c'"),
        ("model: b", "model: a", "f.yaml:26: spec.model: "),
        ("name: b\n", "nam: b\n", 'f.yaml:8: spec.models[1].nam: unknown field; did you mean "name"?'),
        ("name: key", "name: Key", "f.yaml:20: metadata.name: "),
    ],
)
def test_a_mistake_is_told_at_its_line(old: str, new: str, line: str) -> None:
    """Schema and references alike: file, line, field, reason."""
    told = lines(GOOD.replace(old, new, 1))
    assert any(one.startswith(line) for one in told), told


def test_all_models_of_a_group_are_looked_at() -> None:
    """Whoever forgot two Secrets learns of both at once."""
    told = lines(GOOD.replace("name: s, key: k", "name: t, key: k"))
    assert [one.split(":")[1] for one in told] == ["7", "11"]


def test_secrets_may_be_elsewhere() -> None:
    """For Git repositories, which hold no Secrets: those that no file has are taken to be in the cluster."""
    text = GOOD.replace("name: s, key: k", "name: t, key: k")
    assert lines(text, secrets_elsewhere=True) == []


def test_namespaces_do_not_mix() -> None:
    """A Secret of another namespace is none of this group's."""
    text = GOOD.replace("{name: s}", "{name: s, namespace: other}").replace("{name: g}", "{name: g, namespace: ai}")
    assert any("Secret 's' does not exist" in line for line in lines(text))


def test_a_rollout_is_looked_at_though_its_group_has_a_mistake() -> None:
    """Which is told where it is, once; or is none, with Secrets elsewhere."""
    without = GOOD.replace("metadata: {name: s}", "metadata: {name: other}")
    assert ["Secret 's' does not exist" in line for line in lines(without)] == [True, True]
    assert lines(without, secrets_elsewhere=True) == []
    wrong = without.replace("model: b,", "model: c,")
    assert ["has no model 'c'" in line for line in lines(wrong, secrets_elsewhere=True)] == [True]
