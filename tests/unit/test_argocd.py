"""What Argo CD makes of statuses: its health checks, run by Lua 5.1, on all statuses of the golden cases and phases."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

from golden.test_golden import CASES
from harness.manifests import rollout
from turnout.api import CanaryRollout
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.decide.canary.state import State
from turnout.infra.rollout_status import rollout_conditions, rollout_fields

FILE = Path(__file__).parents[2] / "manifests" / "argocd" / "argocd-cm.yaml"
CHECKS = yaml.safe_load(FILE.read_text())["data"]
RUN = """function(text, obj)
  local check = loadstring(text)
  setfenv(check, {obj = obj, ipairs = ipairs})
  return check()
end"""
SPEC = {"modelGroup": "assistant", "model": "new", "steps": [{"weight": 5, "hold": "1h"}, {"weight": 100}]}
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def health(kind: str, obj: dict[str, Any]) -> str:
    """What Argo CD shows. Nothing but the object is known to a check."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    run = lua.eval(
        "function(text, obj) local f = loadstring(text); setfenv(f, {obj = obj, ipairs = ipairs}); return f() end"
    )
    text = CHECKS[f"resource.customizations.health.turnout.dev_{kind}"]
    found = run(text, lua.table_from(obj, recursive=True))
    assert isinstance(found["message"], str)
    return str(found["status"])


def with_status(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """An object whose status is about its present generation."""
    return {"metadata": {"generation": 2}, "spec": spec, "status": {**status, "observedGeneration": 2}}


def expected(status: dict[str, Any]) -> str:
    """By the conditions, which are kstatus's."""
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    if conditions.get("Ready") == "True":
        return "Healthy"
    return "Degraded" if conditions.get("Stalled") == "True" else "Progressing"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_status_of_the_golden_cases_is_shown_as_its_conditions_say(case: Path) -> None:
    """A rollout's phase says more, of which other tests are."""
    for name, status in yaml.safe_load((case / "status.yaml").read_text())["statuses"].items():
        kind = name.split(" ")[0]
        assert health(kind, with_status(status)) == expected(status), name


PHASES = {
    RolloutPhase.PENDING: ("Starting", "Progressing"),
    RolloutPhase.PROGRESSING: ("Measuring", "Progressing"),
    RolloutPhase.HOLDING: ("TooFewRequests", "Suspended"),
    RolloutPhase.PAUSED: ("Paused", "Suspended"),
    RolloutPhase.PROMOTED: ("Promoted", "Healthy"),
    RolloutPhase.ROLLED_BACK: ("Breach", "Degraded"),
    RolloutPhase.ABORTED: ("Abort", "Degraded"),
}


@pytest.mark.parametrize("phase", RolloutPhase)
def test_each_phase_of_a_rollout_is_what_argo_cd_calls_it(phase: RolloutPhase) -> None:
    """And it is the same for kstatus, which knows no suspension."""
    reason, shown = PHASES[phase]
    read = CanaryRollout.parse(rollout("r", **SPEC))
    state = State(phase, reason, "A test.", step=1, weight=5, run="r1", runs=1)
    found = [
        {"type": c.type.value, "status": c.status.value, "message": c.message} for c in rollout_conditions(read, state)
    ]
    status = {**rollout_fields(read, state), "conditions": found}
    assert health("CanaryRollout", with_status(status)) == shown
    assert expected(status) == {"Suspended": "Progressing"}.get(shown, shown)


@pytest.mark.parametrize("kind", ["ModelGroup", "ScopedKey", "CanaryRollout"])
def test_what_is_not_seen_yet_is_progressing(kind: str) -> None:
    """Without a status, and with one of an older generation, which may be Ready."""
    ready = [{"type": "Ready", "status": "True", "message": "m"}]
    assert health(kind, {"metadata": {"generation": 1}, "spec": {}}) == "Progressing"
    old = {"observedGeneration": 1, "phase": "Promoted", "conditions": ready}
    assert health(kind, {"metadata": {"generation": 2}, "spec": {}, "status": old}) == "Progressing"


def test_a_key_that_is_revoked_on_purpose_is_suspended() -> None:
    """Not broken: it is as Git says."""
    status = {"phase": "Revoked", "conditions": [{"type": "Ready", "status": "False", "message": "m"}]}
    assert health("ScopedKey", with_status(status, revoked=True)) == "Suspended"
