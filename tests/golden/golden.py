"""One golden case: a folder whose in.yaml goes through the whole core, and what came out, as text without secrets."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError

from turnout.api import CanaryRollout, ModelGroup, ScopedKey
from turnout.api.problems import problems_of
from turnout.decide.ir import Router
from turnout.decide.snapshot import Invalid, Snapshot, Token
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
        secrets={s["metadata"]["name"]: {k: v.encode() for k, v in s["stringData"].items()} for s in found["Secret"]},
        tokens={
            k.metadata.name: (token(k.metadata.name),) for k in found["ScopedKey"] if k.metadata.name[:4] != "new-"
        },
        invalid=tuple(invalid),
        foreign_secrets=frozenset(s["metadata"]["name"] for s in found["Secret"]),
    )


def token(name: str) -> Token:
    """The token of a key in a case."""
    return Token(id=f"{len(name):04x}", token=SecretStr(f"{SECRET_MARK}token-of-{name}"), issued_at=ISSUED_AT)


def documents(compiled: Compiled, values: dict[str, str]) -> dict[str, str]:
    """File name → text of each golden file. values: secret value → the words that stand for it."""
    decision = compiled.decision
    files = {name: json.loads(data) for name, data in compiled.files.data.items()}
    table = files["ecds_front.json"]["resources"][0]["typed_config"]["config"]["configuration"]
    table["value"] = table["value"].replace("\t", "  ").splitlines()  # a line each, for the reader of a diff
    verdicts = [
        {
            "kind": v.kind,
            "name": v.name,
            "problem": v.problem
            and {"reason": v.problem.reason.value, "path": v.problem.path, "message": v.problem.message},
            "stale": v.stale,
            "unresolved": [f.message for f in v.unresolved],
            "unsupported": list(v.unsupported),
        }
        for v in decision.verdicts
    ]
    keys = [
        {"name": k.name, "phase": k.phase.value, "secret": k.secret_name, "issued": bool(k.token)}
        for k in decision.keys
    ]
    outcome = {"verdicts": verdicts, "keys": keys, "mint": list(decision.mint), "drop": list(decision.drop)}
    texts = {
        "ir.yaml": decision.router.model_dump(mode="json"),
        "xds.yaml": files,
        "status.yaml": outcome,
    }
    return {name: without(values, yaml.safe_dump(value, sort_keys=True, width=120)) for name, value in texts.items()}


def without(values: dict[str, str], text: str) -> str:
    """The text with each secret value replaced by words; the longest first, as one may begin with another."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, values[value])
    return text
