"""What was decided and seen → DIR/.turnout/status, each object as `kubectl get -o yaml` would show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from turnout.api import ModelGroup
from turnout.api.quantities import format_time
from turnout.decide.build import Decision
from turnout.decide.verdict import Verdict
from turnout.infra.labels import Json
from turnout.infra.observation import Observation, Programmed
from turnout.infra.status import Moment, group_status, key_status, rollout_status
from turnout.local.home import Home
from turnout.local.manifests import Manifest


@dataclass(frozen=True)
class Report:
    """All that statuses are made of. refused: groups that Envoy refused, with its words."""

    namespace: str
    url: str
    decision: Decision
    progress: Programmed
    seen: Observation
    refused: Mapping[str, str]


def write_statuses(home: Home, report: Report, manifests: Iterable[Manifest]) -> None:
    """Write the file of every object that has a verdict, where it differs; delete those of objects that are gone."""
    by_name = {(m.kind, m.name): m for m in manifests}
    now = datetime.now(UTC)
    for verdict in report.decision.verdicts:
        spec = by_name[verdict.kind, verdict.name].spec
        known = home.object(verdict.kind, verdict.name)
        generation = home.generation(verdict.kind, verdict.name, spec)
        meta = {
            "name": verdict.name,
            "namespace": report.namespace,
            "generation": generation,
            "creationTimestamp": known.get("metadata", {}).get("creationTimestamp") or format_time(now),
        }
        numbered = replace(verdict, generation=generation)  # decide knows none of what cannot be read
        status = _status(report, numbered, by_name[verdict.kind, verdict.name], known.get("status") or {}, now)
        home.save_object(verdict.kind, verdict.name, meta, spec, status)
    home.prune_objects((v.kind, v.name) for v in report.decision.verdicts)


def _status(report: Report, verdict: Verdict, manifest: Manifest, old: Mapping[str, Any], now: datetime) -> Json:
    decision = report.decision
    progress = report.progress
    if verdict.kind == "ModelGroup" and verdict.name in report.refused:
        verdict = replace(verdict, problem=None)  # nothing that we know of; it is Envoy that says no
        progress = replace(progress, rejection=report.refused[verdict.name])
    moment = Moment(progress, report.seen, report.url, now)
    if verdict.kind == "ModelGroup":
        spec = ModelGroup.parse(manifest.document.value) if manifest.valid else None
        return group_status(verdict, spec, decision.router.group(verdict.name), moment, old)
    if verdict.kind == "ScopedKey":
        state = next((state for state in decision.keys if state.name == verdict.name), None)
        return key_status(verdict, state, moment, old)
    return rollout_status(verdict, moment, old)
