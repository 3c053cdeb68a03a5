"""The matrix: run once, as its cases share namespaces."""

import asyncio
import os
from pathlib import Path

import pytest

from crash.disturbances import DISTURBANCES
from crash.matrix import Matrix, run
from harness.cluster import ApiServer

CRDS = Path(__file__).parents[2] / "crds"
ROWS = [(fails, name) for fails in (False, True) for name in DISTURBANCES]
EVERY = int(os.environ.get("CRASH_MATRIX_EVERY", "6"))
"""Kills come at every write. The other disturbances come at every sixth, or this would take twenty minutes: `make
matrix` has them everywhere."""


@pytest.fixture(scope="session")
def matrix(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """All outcomes."""
    api_server.kubectl("apply", "--server-side", "-k", str(CRDS))
    api_server.kubectl("wait", "--for=condition=Established", "crd", "--all")
    folder = tmp_path_factory.mktemp("crash")
    done = api_server.namespace.call(lambda: asyncio.run(run(api_server, folder, ROWS, every=EVERY)))
    print(done.table())
    return done
