"""What was decided and seen → DIR/.turnout/status, each object as `kubectl get -o yaml` would show it."""

from collections.abc import Iterable
from dataclasses import replace

from turnout.api import ModelGroup
from turnout.infra.status import Moment, object_status
from turnout.local.home import Home
from turnout.local.manifests import Manifest


def write_statuses(home: Home, namespace: str, moment: Moment, manifests: Iterable[Manifest]) -> None:
    """Write the file of every object that has a verdict, where it differs; delete those of objects that are gone."""
    by_name = {(m.kind, m.name): m for m in manifests}
    for verdict in moment.decision.verdicts:
        manifest = by_name[verdict.kind, verdict.name]
        known = home.object(verdict.kind, verdict.name)
        meta = home.metadata(verdict.kind, verdict.name, manifest.spec, now=moment.now)
        numbered = replace(verdict, generation=meta["generation"])  # decide knows none of what cannot be read
        group = ModelGroup.parse(manifest.document.value) if manifest.valid and verdict.kind == "ModelGroup" else None
        status = object_status(numbered, group, moment, known.get("status") or {})
        named = {"name": verdict.name, "namespace": namespace, **meta}
        home.save_object(verdict.kind, verdict.name, named, manifest.spec, status)
    home.prune_objects((v.kind, v.name) for v in moment.decision.verdicts)
