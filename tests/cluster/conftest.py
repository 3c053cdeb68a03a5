"""Turnout installed in the test cluster as a user would, by `kubectl apply -k`, with the images made here."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import Cluster
from harness.images import ENVOY, OPERATOR
from harness.namespace import CommandError
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
  literals: ["TURNOUT_ROUTER_IMAGE={router}", TURNOUT_ROUTER_CPU=50m]
"""


AT_MOST_S = 600
"""For one test. The longest take two minutes; on a busy machine, much longer. It only ends what hangs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder have more time than others have; the hook is called for all there are."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(AT_MOST_S))


@pytest.fixture(scope="session")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster with CRDs and the operator. Images, and the CPU that a router asks for, are the tests' own."""
    overlay = tmp_path_factory.mktemp("overlay")
    name, tag = OPERATOR.split(":")
    base = Path("../" * (len(overlay.parts) - 1)) / MANIFESTS.relative_to("/")
    (overlay / "kustomization.yaml").write_text(OVERLAY.format(base=base, name=name, tag=tag, router=ENVOY))
    started = time.monotonic()
    cluster.kubectl("apply", "-k", str(overlay), "--server-side")
    try:
        cluster.kubectl("rollout", "status", "deployment", "-n", SYSTEM, "--timeout=90s")
    except CommandError:
        print(cluster.describe_failure([SYSTEM]))
        raise
    print(f"operator ready {time.monotonic() - started:.1f} s after kubectl apply -k")
    return cluster


@pytest.fixture(scope="session")
def _shared(installed: Cluster) -> World:
    world = World(installed, "ai")
    world.start()
    return world


@pytest.fixture
def here(_shared: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """The namespace that most tests share, as at first. A test that breaks what stays broken makes its own `world`."""
    _shared.reset()
    with _explained(_shared, request):
        yield _shared


@pytest.fixture
def world(installed: Cluster, request: pytest.FixtureRequest) -> Iterator[Callable[..., World]]:
    """Makes worlds in namespaces of their own; they are deleted afterwards."""
    with ExitStack() as stack:

        def make(name: str, delivery: str = "Live", **options: Any) -> World:
            made = World(installed, name, delivery)
            stack.callback(installed.kubectl, "delete", "namespace", name, "--wait=false")
            stack.enter_context(_explained(made, request))
            made.start(**options)
            return made

        yield make


@contextmanager
def _explained(world: World, request: pytest.FixtureRequest) -> Iterator[None]:
    """Print pods, events and logs if the test failed meanwhile."""
    failed_before = request.session.testsfailed
    yield
    if request.session.testsfailed > failed_before:
        print(world.cluster.describe_failure([world.namespace, SYSTEM]))
