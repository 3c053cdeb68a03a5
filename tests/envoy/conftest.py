"""Fixtures of the router's tests: three fake providers, and routers that last as long as a module."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.background import Background
from harness.fixtures import leave_out
from harness.manifests import Manifest, token
from harness.nameserver import NameServer, resolving_by
from harness.providers import Provider, Trio, refusing_address
from harness.router import Router, Serve, eventually
from harness.wire import Wire


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    """The thread in which fake providers live."""
    background = Background()
    yield background
    background.close()


@pytest.fixture(scope="session")
def trio(background: Background) -> Trio:
    """The three providers of most tests."""
    return Trio(*(Provider(background, name) for name in ("one", "two", "three")))


@pytest.fixture(scope="session")
def wire(background: Background) -> Iterator[Wire]:
    """A provider of bytes."""
    wire = Wire(background)
    yield wire
    wire.close()


@pytest.fixture(scope="session")
def refusing_port() -> Iterator[int]:
    """A port where nothing listens, and nothing will."""
    held, port = refusing_address()
    yield port
    held.close()


@pytest.fixture
def names(background: Background, tmp_path: Path) -> Iterator[NameServer]:
    """A name server whose answers hold for a second. Left out where a test can have no /etc/resolv.conf of its own."""
    server = NameServer(background, ttl=1)
    if subprocess.run([*resolving_by(server, tmp_path), "true"], check=False, capture_output=True).returncode:
        leave_out("left out: this machine gives a test no mount namespace")
    yield server
    server.close()


RUNNING: list[Router] = []
"""The routers of the present module."""
LONGEST_PAUSE_MS = 4_000
"""Longer ones are on lanes that no other test uses."""


@pytest.fixture(autouse=True)
def _reset(trio: Trio, wire: Wire) -> None:
    """Providers that are well, and lanes that no test before this one has left at their limits."""
    for provider in (*trio, wire):
        provider.reset()
    for router in RUNNING:
        eventually(lambda r=router: not any(0 < x["pausedForMs"] <= LONGEST_PAUSE_MS for x in r.lanes().values()))


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts routers that end with the module; at their end no secret may stand in their log, and no crash."""

    def serve(*manifests: Manifest, **options: Any) -> Router:
        router = Router(tmp_path_factory.mktemp("router"), **options)
        RUNNING.append(router)
        return router.start(*manifests)

    yield serve
    while RUNNING:
        router = RUNNING.pop()
        router.stop()
        _look_through(router)


CRASH = re.compile(r".*(panicked|Uncaught|unreachable|Wasm VM failed (?!Failed to configure)|assert failure).*")
"""What Envoy logs if a filter's VM traps, or if Envoy itself gives up."""


def _look_through(router: Router) -> None:
    log = router.log()
    crash = CRASH.search(log)
    assert crash is None, f"the filter crashed: {crash[0] if crash else ''}"
    for said in (log, router.printed()):
        assert token("") not in said, "a token stands in Envoy's log"
        assert "credential-of-" not in said, "a credential stands in Envoy's log"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a router that the test itself starts and stops."""
    return tmp_path
