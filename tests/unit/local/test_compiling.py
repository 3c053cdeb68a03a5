"""Manifests → files for Envoy, without an Envoy."""

from datetime import UTC, datetime

from turnout.decide.verdict import Reason
from turnout.local.compiling import compile_manifests
from turnout.local.documents import read
from turnout.local.manifests import classify
from turnout.xds.place import Place

MANIFESTS = """\
apiVersion: turnout.dev/v1alpha1
kind: ModelGroup
metadata: {name: g}
spec:
  models:
    - {name: m, endpoint: {baseURL: "http://127.0.0.1:1/v1", apiKeySecretRef: {name: s, key: api-key}}}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {other: x, api-key: "${NOT_SET}"}
"""


def test_a_secret_with_an_unset_variable_is_none() -> None:
    """No placeholder is ever sent to a provider as a credential; the group says that the Secret is missing."""
    documents = read("f.yaml", MANIFESTS.encode())
    assert isinstance(documents, list)
    compiled = compile_manifests(
        classify(documents, {}).manifests,
        "default",
        issued={},
        metadata={},
        previous=None,
        place=Place("/w", "/x", "/c"),
        now=datetime(2026, 11, 22, tzinfo=UTC),
    ).compiled
    (verdict,) = compiled.decision.verdicts
    assert verdict.problem is not None
    assert verdict.problem.reason is Reason.SECRET_NOT_FOUND
    assert compiled.decision.router.groups == ()
    assert not any(b"unset" in data for data in compiled.files.data.values())
