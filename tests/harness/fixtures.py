"""pytest fixtures: `api_server` and `cluster`, one of each for a whole run, made when the first test asks."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NoReturn

import pytest

from harness import session
from harness.cluster import ApiServer, Cluster
from harness.control_plane import ControlPlane
from harness.packages import HarnessError


def leave_out(message: str) -> NoReturn:
    """Skip with a plain sentence on a person's machine; fail where CI runs, because there a skip is a hole."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@contextmanager
def _plane() -> Iterator[ControlPlane]:
    with ExitStack() as stack:
        try:
            plane = stack.enter_context(session.control_plane())
        except HarnessError as error:
            leave_out(f"left out, no Kubernetes on this machine: {error}")
        yield plane


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """A real API server (etcd behind it, no node, no Turnout): for tests of the resource definitions."""
    with _plane() as plane:
        yield ApiServer(plane)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real one-node Kubernetes with the images of harness.images. Apart from `api_server`: an operator runs in it."""
    with _plane() as plane:
        try:
            node = session.node(plane)
        except HarnessError as error:
            leave_out(f"left out, no Kubernetes on this machine: {error}")
        yield Cluster(plane, node)
