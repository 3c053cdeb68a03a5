"""Statuses that the API server refuses."""

from datetime import UTC, datetime
from typing import Any

import pytest

from harness.manifests import running
from turnout.api.canaryrollout_status import Action, Gate, GateStatus, GateVerdict
from turnout.apply.statuses import StatusOf, write
from turnout.errors import DeniedError
from turnout.infra.rollout_status import restored

GATE = GateStatus(gate=Gate.ERROR_RATE, verdict=GateVerdict.BREACH, message="Too many.").model_dump(
    mode="json", by_alias=True, exclude_none=True
)
ROLLOUT = running(5)
META = {"name": "r", "namespace": "ai", "uid": "1"}


class OldServer:
    """An API server whose definitions know no gates: the operator is newer than they are."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.writes = 0

    async def apply(self, obj: dict[str, Any], *, subresource: str) -> None:
        """As Kube does it."""
        assert subresource == "status"
        if GATE["gate"] in str(obj["status"]):
            raise DeniedError("422 not declared in schema")
        self.status, self.writes = obj["status"], self.writes + 1

    async def take(self, status: dict[str, Any]) -> int:
        """Write a status; how many stand."""
        stands: list[StatusOf] = []
        one = StatusOf({**ROLLOUT, "metadata": META, "status": self.status}, status)
        with pytest.raises(DeniedError, match="422"):
            await write(self, [one], stands.append)  # type: ignore[arg-type]
        return len(stands)


async def test_what_only_explains_keeps_no_rollout_from_being_kept() -> None:
    """A rollback of which nothing was kept would be undone by the next operator. The refusal is told all the same."""
    server = OldServer()
    at = datetime(2026, 11, 29, tzinfo=UTC)
    state = restored(ROLLOUT["status"]).decided(Action.ROLLBACK, "Breach", "Too many.", at)
    decision = state.decisions[0].model_dump(mode="json", by_alias=True, exclude_none=True)
    whole = {**ROLLOUT["status"], "decisions": [{**decision, "analysis": [GATE]}], "analysis": [GATE]}
    assert await server.take(whole) == 1
    assert restored(server.status) == state
    assert await server.take(whole) == 1
    assert server.writes == 1, "the rest stands already"


async def test_what_is_refused_without_explaining_anything_is_not_kept() -> None:
    """There is nothing to leave out."""
    server = OldServer()
    assert await server.take({"message": GATE["gate"]}) == 0
    assert server.writes == 0
