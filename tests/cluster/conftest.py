"""Turnout installed in the test cluster as a user would, by `kubectl apply -k`, with the images made here."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cluster import Cluster
from harness.images import ENVOY, OPERATOR
from harness.world import World

MANIFESTS = Path(__file__).parents[2] / "manifests"
SYSTEM = "turnout-system"
OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: ["{base}"]
images: [{{name: turnout, newName: {name}, newTag: {tag}}}]
configMapGenerator:
- name: turnout-settings
  namespace: turnout-system
  behavior: merge
  literals: ["TURNOUT_ROUTER_IMAGE={router}"]
"""


@pytest.fixture(scope="session")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster with CRDs and the operator running. Only the two images differ from what a user applies."""
    overlay = tmp_path_factory.mktemp("overlay")
    name, tag = OPERATOR.split(":")
    base = Path("../" * (len(overlay.parts) - 1)) / MANIFESTS.relative_to("/")
    (overlay / "kustomization.yaml").write_text(OVERLAY.format(base=base, name=name, tag=tag, router=ENVOY))
    started = time.monotonic()
    cluster.kubectl("apply", "-k", str(overlay), "--server-side")
    cluster.kubectl("rollout", "status", "deployment", "-n", SYSTEM, "--timeout=90s")
    print(f"operator ready {time.monotonic() - started:.1f} s after kubectl apply -k")
    return cluster


@pytest.fixture
def world(installed: Cluster, request: pytest.FixtureRequest) -> Iterator[Callable[..., World]]:
    """Makes worlds in namespaces of their own; they are deleted afterwards, and explained if the test failed."""
    made: list[World] = []

    def make(name: str, delivery: str = "Live", **options: object) -> World:
        made.append(World(installed, name, delivery))
        made[-1].start(**options)  # type: ignore[arg-type]
        return made[-1]

    failed_before = request.session.testsfailed
    yield make
    for one in made:
        if request.session.testsfailed > failed_before:
            print(installed.describe_failure([one.namespace, SYSTEM]))
        installed.kubectl("delete", "namespace", one.namespace, "--wait=false")
