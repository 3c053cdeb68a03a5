"""The start of a session: in which order Envoy is told, looked at, and keys go on. All its parts are stand-ins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from turnout.decide.ir import Router
from turnout.infra.observation import Programmed
from turnout.local import session
from turnout.local.session import Options, Session
from turnout.xds.bootstrap import Address

GROUP = """\
apiVersion: turnout.dev/v1alpha1
kind: ModelGroup
metadata: {name: assistant}
spec: {models: [{name: gpt, endpoint: {baseURL: "http://127.0.0.1:1/v1"}}]}
"""


class Parts:
    """Engine, Envoy, watcher and display in one; the first that keys are taken on, another token is wanted.

    Attributes:
        did: what was called until it served.
    """

    def __init__(self) -> None:
        self.did: list[str] = []
        self.uses = "nothing known of uses"
        self.router, self.version, self.running, self.url = Router(namespace="ai"), "", False, ""
        self.ledger = self.arms = None
        self._wanted = "old"

    def compile(self, _: Any) -> Any:
        """The configuration that is wanted."""
        return SimpleNamespace(decision=None, files=SimpleNamespace(version=self._wanted))

    async def publish(self, compiled: Any) -> Programmed:
        """As if Envoy took it."""
        self.version = compiled.files.version
        self.did.append(f"publish {self.version}")
        return Programmed(self.version, 1, 1)

    def runs(self, compiled: Any) -> bool:
        """Whether that was published."""
        return bool(self.version == compiled.files.version)

    def adopt(self, compiled: Any) -> None:
        """Tells that it is programmed."""
        assert self.runs(compiled)

    async def look(self, _: Router) -> None:
        """At Envoy."""
        self.uses = "looked"

    async def rotate(self, uses: Any) -> bool:
        """Another token is wanted from now on."""
        self.did.append(f"rotate, {uses}")
        changed, self._wanted = self._wanted == "old", "new"
        return changed

    def mistakes(self, _: Any) -> list[Any]:
        """There are none."""
        return []

    def ready(self, _: Session) -> None:
        """It serves."""
        self.did = [*self.did, "ready"]

    async def ended(self) -> None:
        """Envoy never does."""
        await session.asyncio.Event().wait()

    async def run(self, _: Session) -> None:
        """Whoever watches has seen enough at once."""

    async def stop(self) -> None:
        """Envoy."""

    def judge(self, _: Any) -> bool:
        """There are no rollouts."""
        return False

    def ignore(self, *_: Any) -> None:
        """What is no matter here."""

    seen = write_statuses = counted = due = ignore


async def test_a_rotation_that_is_due_at_the_start_is_published_before_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status says Programmed of nothing else; and no old token goes before Envoy was looked at once."""
    (tmp_path / "group.yaml").write_text(GROUP)
    parts = Parts()
    for name in ("Engine", "Envoy", "Watcher"):
        monkeypatch.setattr(session, name, lambda *_, **__: parts)
    monkeypatch.setattr(session, "check_free", parts.ignore)
    await Session(Options(tmp_path, Address("127.0.0.1", 4000), envoy=Path("envoy"))).run(parts)
    assert parts.did == ["publish old", "rotate, looked", "publish new", "rotate, looked", "ready"]
