"""One golden case: a folder whose in.yaml goes through the whole core, and what came out, as text without secrets."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError

from harness.rollouts import answers
from turnout.api import CanaryRollout, ModelGroup, ScopedKey
from turnout.api.canaryrollout_status import Action, RolloutPhase
from turnout.api.problems import problems_of
from turnout.api.scopedkey import TokenState
from turnout.decide.canary import ledger as evidence
from turnout.decide.canary.state import State
from turnout.decide.evidence import Arm, ArmCounts, Look
from turnout.decide.ir import Router
from turnout.decide.issued import Failure, Issued, Restart, Revocation, Rotation, Step, Token
from turnout.decide.snapshot import Invalid, Snapshot
from turnout.decide.usage import NANO, Ledger, Use
from turnout.infra.consumer import consumer_secrets
from turnout.infra.observation import Observation, Programmed
from turnout.infra.status import Moment, object_status
from turnout.xds.compile import Compiled, compile_namespace
from turnout.xds.place import POD

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ISSUED_AT = datetime(2026, 11, 1, tzinfo=UTC)
"""Every key of a case has a token issued then, but those whose names begin with "new-"."""

SECRET_MARK = "SECRET-"
"""Every secret value of a case begins with this, so that a golden file that holds it is a leak."""

KINDS = {"ModelGroup": ModelGroup, "ScopedKey": ScopedKey, "CanaryRollout": CanaryRollout}


@dataclass(frozen=True)
class Case:
    """A folder: in.yaml, and before.yaml if something was published before."""

    folder: Path

    def compiled(self) -> Compiled:
        """The case, through decide and render."""
        before = self.folder / "before.yaml"
        previous: Router | None = None
        if before.exists():
            previous = compile_namespace(snapshot(before), None, now=NOW, place=POD).decision.router
        return compile_namespace(snapshot(self.folder / "in.yaml"), previous, now=NOW, place=POD)


def snapshot(file: Path) -> Snapshot:
    """The objects of a file as one namespace, "ai"."""
    found: dict[str, list[Any]] = {kind: [] for kind in (*KINDS, "Secret")}
    invalid = []
    for document in yaml.safe_load_all(file.read_text()):
        kind, name = document["kind"], document["metadata"]["name"]
        try:
            found[kind].append(KINDS[kind].parse(document) if kind in KINDS else document)
        except ValidationError as error:
            invalid.append(Invalid(kind, name, "; ".join(f"{p.path}: {p.reason}" for p in problems_of(kind, error))))
    return Snapshot(
        namespace="ai",
        groups=tuple(found["ModelGroup"]),
        keys=tuple(found["ScopedKey"]),
        rollouts=tuple(found["CanaryRollout"]),
        rollout_states={
            r.metadata.name: state for r in found["CanaryRollout"] if (state := rollout_state(r.metadata.name))
        },
        secrets={s["metadata"]["name"]: {k: v.encode() for k, v in s["stringData"].items()} for s in found["Secret"]},
        issued={k.metadata.name: issued(k.metadata.name) for k in found["ScopedKey"] if k.metadata.name[:4] != "new-"},
        invalid=tuple(invalid),
        foreign_secrets=frozenset(s["metadata"]["name"] for s in found["Secret"]),
        ledger=ledger([k.metadata.name for k in found["ScopedKey"]]),
    )


def rollout_state(name: str) -> State | None:
    """How a rollout of a case stands: one whose name begins with "to-" is in its first step, and looked at once."""
    if not name.startswith("to-"):
        return None
    seen = look({Arm.CANARY: answers(60, 2) + ArmCounts({"client_error": 3}), Arm.BASELINE: answers(1_100, 9)})
    book = evidence.Ledger(1).looked(seen, "assistant", "run1-1")
    started = State(step=1, weight=5, run="run1", runs=1, since=NOW, held=timedelta(minutes=12), applied=5, ledger=book)
    message = "Step 1 runs at 5 % until its hold of 1h is over."
    started = started.decided(
        Action.START, "Started", "The rollout starts: 5 % of first attempts go to the canary.", NOW
    )
    return started.told(RolloutPhase.PROGRESSING, "Measuring", message)


def look(counted: dict[Arm, ArmCounts]) -> Look:
    """A look at one router."""
    return Look(NOW, frozenset({"pod/0"}), {"pod/0": {("assistant", "run1-1", arm): c for arm, c in counted.items()}})


def ledger(keys: list[str]) -> Ledger:
    """Keys whose names begin with "spent-" have used 100.25 USD this month, those with "nearly-" 80."""
    today = {(k, "assistant", "llama"): Use(3, 1_500, 250_000_000) for k in keys if k.startswith("spent-")}
    dear = {(k, "assistant", "gpt"): Use(40, 90_000, 100 * NANO) for k in keys if k.startswith("spent-")}
    nearly = {(k, "assistant", "gpt"): Use(32, 72_000, 80 * NANO) for k in keys if k.startswith("nearly-")}
    return Ledger(NOW.date(), today, {**today, **dear, **nearly}) if today or nearly else Ledger()


def issued(name: str) -> Issued:
    """What a key of a case has: one token; of one whose name begins with "rotating-" the second is in the Secrets."""
    if not name.startswith("rotating-"):
        return Issued((token(name),))
    texts = [SecretStr(f"{SECRET_MARK}{which}-token-of-{name}") for which in ("oldest", "second")]
    draining = Token("01d0", texts[0], ISSUED_AT, state=TokenState.DRAINING, slot=1)
    second = Token("5ec0", texts[1], NOW - timedelta(minutes=2), state=TokenState.PENDING, slot=2)
    restarts = (Restart("Deployment", name.removeprefix("rotating-"), "", NOW),)
    rotation = Rotation(second.id, Step.RESTARTING, NOW, restarts=restarts)
    failure = Failure(NOW - timedelta(days=1), "Deployment 'billing' did not roll out: its deadline is over.")
    return Issued((draining, token(name), second), rotation, failure=failure, revocation=Revocation("dead", NOW, 412))


def token(name: str) -> Token:
    """The token of a key in a case."""
    return Token(id=f"{len(name):04x}", token=SecretStr(f"{SECRET_MARK}token-of-{name}"), issued_at=ISSUED_AT)


def documents(case: Case, values: dict[str, str]) -> dict[str, str]:
    """File name → text of each golden file. values: secret value → the words that stand for it."""
    compiled = case.compiled()
    texts = {
        "ir.yaml": compiled.decision.router.model_dump(mode="json"),
        "xds.yaml": _files(compiled),
        "objects.yaml": _consumer_secrets(compiled),
        "status.yaml": _statuses(case, compiled),
    }
    return {name: without(values, yaml.safe_dump(value, sort_keys=True, width=120)) for name, value in texts.items()}


def _files(compiled: Compiled) -> dict[str, Any]:
    files = {name: json.loads(data) for name, data in compiled.files.data.items()}
    table = files["ecds_front.json"]["resources"][0]["typed_config"]["config"]["configuration"]
    table["value"] = table["value"].replace("\t", "  ").splitlines()  # a line each, for the reader of a diff
    return files


def _consumer_secrets(compiled: Compiled) -> list[Any]:
    """What programs get. The router's own objects hang on no case: test_router_objects.py has them."""
    handed_out = {k.name for k in compiled.decision.router.keys}
    secrets = [
        made
        for k in compiled.decision.keys
        if k.name in handed_out
        for made in consumer_secrets("ai", k, f"uid-of-{k.name}")
    ]
    return [
        {**s, "data": {name: base64.b64decode(value).decode() for name, value in s["data"].items()}} for s in secrets
    ]


def _statuses(case: Case, compiled: Compiled) -> dict[str, Any]:
    """The status of each object once two routers run the configuration and nobody has used it yet."""
    given, decision = snapshot(case.folder / "in.yaml"), compiled.decision
    progress, url = Programmed(compiled.files.version, 2, 2), "http://turnout-router.ai.svc/v1"
    moment = Moment(decision, progress, {}, Observation(ledger=given.ledger), url, NOW)
    groups = {g.metadata.name: g for g in given.groups}
    statuses = {}
    for verdict in decision.verdicts:
        spec = groups.get(verdict.name) if verdict.kind == "ModelGroup" else None
        status = object_status(verdict, spec, moment, {})
        status.pop("version", None)  # stands in xds.yaml
        for condition in status["conditions"]:
            del condition["lastTransitionTime"], condition["observedGeneration"]
        statuses[f"{verdict.kind} {verdict.name}"] = json.loads(json.dumps(status))  # as it is sent
    return {
        "statuses": statuses,
        "mint": list(decision.mint),
        "revoke": list(decision.revoke),
        "drop": list(decision.drop),
    }


def without(values: dict[str, str], text: str) -> str:
    """The text with each secret value replaced by words; the longest first, as one may begin with another."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, values[value])
    return text
