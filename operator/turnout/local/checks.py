"""Manifests → every mistake in them, those of their references included. For `turnout check` and `run`; no I/O."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from turnout.decide.build import decide
from turnout.decide.resolve import resolve_lane
from turnout.decide.snapshot import Snapshot
from turnout.decide.verdict import Finding, Reason, Verdict
from turnout.errors import UsageError
from turnout.local.directory import snapshot
from turnout.local.documents import Document, Mistake
from turnout.local.manifests import DEFAULT_NAMESPACE, Manifest, Manifests

Objects = Mapping[tuple[str, str], Document]


def all_mistakes(found: Manifests, *, now: datetime, secrets_elsewhere: bool = False) -> list[Mistake]:
    """Every mistake, in the order of files and lines, each once. secrets_elsewhere: a missing Secret is none."""
    mistakes = list(found.mistakes)
    forgiven = frozenset({Reason.SECRET_NOT_FOUND} if secrets_elsewhere else ())
    names = found.namespaces or [DEFAULT_NAMESPACE]
    alone = len(names) == 1
    if not alone and any(not m.namespace for m in found.manifests):
        names = sorted({*names, DEFAULT_NAMESPACE})
    for name in names:
        inside = found.within(name, alone=alone or name == DEFAULT_NAMESPACE)
        mistakes += reference_mistakes(inside, name, now=now, forgive=forgiven)
    return sorted(set(mistakes), key=lambda m: (m.file, m.line, m.field))


def reference_mistakes(
    manifests: Iterable[Manifest], namespace: str, *, now: datetime, forgive: frozenset[Reason] = frozenset()
) -> list[Mistake]:
    """What is wrong between the objects of one namespace, but for the reasons to forgive."""
    chosen = list(manifests)
    state = snapshot(chosen, namespace, issued={}, metadata={})
    decision = decide(state, None, now=now)
    return findings(decision.verdicts, state, objects(chosen), forgive)


def objects(manifests: Iterable[Manifest]) -> Objects:
    """(kind, name) → where it stands."""
    return {(m.kind, m.name): m.document for m in manifests}


def findings(
    verdicts: Iterable[Verdict], state: Snapshot, documents: Objects, forgive: frozenset[Reason] = frozenset()
) -> list[Mistake]:
    """Verdicts as mistakes at their lines; objects that do not parse are left to those who parsed them."""
    return [
        document.mistake(finding.path, finding.message.rstrip("."))
        for verdict in verdicts
        if (document := documents.get((verdict.kind, verdict.name)))
        for finding in _all(verdict, state)
        if finding.reason not in forgive
    ]


def _all(verdict: Verdict, state: Snapshot) -> list[Finding]:
    """Everything wrong with one object: decide stops at a group's first model, people want all of them."""
    problem = verdict.problem
    if problem is not None and problem.reason in {Reason.INVALID, Reason.MODEL_GROUP_INVALID}:
        return []  # told where it is
    group = next((g for g in state.groups if g.metadata.name == verdict.name), None)
    if verdict.kind == "ModelGroup" and group is not None:
        lanes = [resolve_lane(m, state.secrets, path=f"spec.models[{i}]") for i, m in enumerate(group.spec.models)]
        wrong = [lane for lane in lanes if isinstance(lane, Finding)]
        return wrong or ([problem] if problem else [])
    return [*([problem] if problem else []), *verdict.unresolved]


def notes(found: Manifests) -> list[Mistake]:
    """What is no mistake, but worth knowing: unset variables, kinds that are left alone."""
    return [*found.unset, *found.notes]


def refuse_mistakes(found: Manifests, mine: list[Manifest], namespace: str, folder: Path) -> None:
    """Raises UsageError if there is nothing to serve, or anything wrong: at the start somebody is there to mend it.

    mine: the manifests of the namespace that is to be served.
    """
    wrong = [*found.unset, *found.mistakes, *reference_mistakes(mine, namespace, now=datetime.now(UTC))]
    if wrong:
        more = f" (and {len(wrong) - 1} more: turnout check {folder})" if len(wrong) > 1 else ""
        raise UsageError(f"{wrong[0]}{more}")
    if not any(manifest.kind == "ModelGroup" for manifest in mine):
        where = f" of namespace {namespace}" if found.namespaces else ""
        raise UsageError(
            f"{folder} holds no ModelGroup{where} in a .yaml, .yml or .json file, so there is nothing to serve"
        )
