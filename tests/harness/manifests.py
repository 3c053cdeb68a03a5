"""Manifests as short calls, and a namespace made of them: what the operator or `turnout run` would hand to decide."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from turnout.api import API_VERSION, CanaryRollout, ModelGroup, ScopedKey
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.decide.canary.ledger import Ledger
from turnout.decide.canary.state import State
from turnout.decide.issued import Issued, Token
from turnout.decide.snapshot import Snapshot
from turnout.infra.rollout_status import restored, rollout_fields

Manifest = dict[str, Any]

KINDS = {"ModelGroup": ModelGroup, "ScopedKey": ScopedKey, "CanaryRollout": CanaryRollout}
ISSUED_AT = datetime(2026, 11, 1, tzinfo=UTC)


def model(name: str, url: str, *, secret: str | None = None, ca: str | None = None, **fields: Any) -> Manifest:
    """A model at a base URL. secret and ca: names of Secrets (keys `api-key` and `ca.crt`)."""
    endpoint: Manifest = {"baseURL": url}
    if secret:
        endpoint["apiKeySecretRef"] = {"name": secret, "key": "api-key"}
    if ca:
        endpoint["caSecretRef"] = {"name": ca, "key": "ca.crt"}
    return {"name": name, "endpoint": endpoint, **fields}


def group(name: str, *models: Manifest, **spec: Any) -> Manifest:
    """A ModelGroup of these models."""
    return _object("ModelGroup", name, {"models": list(models), **spec})


def key(name: str, *groups: str, scopes: tuple[str, ...] = ("*",), **spec: Any) -> Manifest:
    """A ScopedKey for these groups, by default for all."""
    return _object("ScopedKey", name, {"scopes": list(scopes), "modelGroups": list(groups) or ["*"], **spec})


def rollout(name: str, **spec: Any) -> Manifest:
    """A CanaryRollout."""
    return _object("CanaryRollout", name, spec)


def running(weight: int, *, period: int = 1, **spec: Any) -> Manifest:
    """The rollout "r" of model "two" of group "assistant", in its first step, with that weight in percent. What it
    draws counts as of "run1" and the period.
    """
    steps = [{"weight": weight, "hold": "1h"}, {"weight": 100}] if weight < 100 else [{"weight": 100}]
    manifest = rollout("r", modelGroup="assistant", model="two", steps=steps, **spec)
    state = State(RolloutPhase.PROGRESSING, "Measuring", "A test.", step=1, weight=weight, run="run1", runs=1)
    state = replace(state, ledger=Ledger(period))
    return {**manifest, "status": rollout_fields(CanaryRollout.parse(manifest), state)}


def secret(name: str, **values: str) -> Manifest:
    """A Secret; underscores in names stand for dashes, as in api_key."""
    data = {k.replace("_", "-"): v for k, v in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def token(name: str) -> str:
    """The token that the key of that name has in tests."""
    return f"sk-turnout-token-of-{name}"


def snapshot(*manifests: Manifest) -> Snapshot:
    """The namespace "ai" with these objects. Every key has its token, issued at ISSUED_AT; rollouts stand as their
    statuses say.
    """
    found: dict[str, list[Any]] = {kind: [] for kind in (*KINDS, "Secret")}
    for manifest in manifests:
        kind = manifest["kind"]
        found[kind].append(KINDS[kind].parse(manifest) if kind in KINDS else manifest)
    names = [k.metadata.name for k in found["ScopedKey"]]
    return Snapshot(
        namespace="ai",
        groups=tuple(found["ModelGroup"]),
        keys=tuple(found["ScopedKey"]),
        rollouts=tuple(found["CanaryRollout"]),
        rollout_states={m["metadata"]["name"]: restored(m["status"]) for m in manifests if "status" in m},
        secrets={s["metadata"]["name"]: {k: v.encode() for k, v in s["stringData"].items()} for s in found["Secret"]},
        issued={n: Issued((Token(f"id-{n}", SecretStr(token(n)), ISSUED_AT),)) for n in names},
    )


def _object(kind: str, name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": "ai"}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
