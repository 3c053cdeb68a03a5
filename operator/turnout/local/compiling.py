"""Manifests and tokens → snapshot, decision and files, with a token for every key that needs one. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from turnout.api.problems import KINDS
from turnout.apply import keyring
from turnout.decide.ir import Router
from turnout.decide.quarantine import Quarantine
from turnout.decide.rollouts import States
from turnout.decide.snapshot import Snapshot
from turnout.decide.usage import Ledger
from turnout.local.directory import Metadata, snapshot
from turnout.local.manifests import Manifest
from turnout.xds.compile import Compiled, compile_namespace
from turnout.xds.place import Place

NOT_USED = Ledger()
NONE_RAN: States = {}


@dataclass(frozen=True)
class Result:
    """What came out; issued: to be kept before anything is done with the rest."""

    state: Snapshot
    compiled: Compiled
    issued: keyring.Keyring


def compile_manifests(
    manifests: Iterable[Manifest],
    namespace: str,
    *,
    issued: keyring.Keyring,
    metadata: Metadata,
    previous: Router | None,
    place: Place,
    now: datetime,
    quarantine: Quarantine | None = None,
    ledger: Ledger = NOT_USED,
    rollout_states: States = NONE_RAN,
) -> Result:
    """Decide and render a namespace; issue and drop tokens until nothing is left to. now: aware UTC; ledger: what keys
    have used; rollout_states: how rollouts stand.

    A Secret with a variable that is not set is as good as missing: no provider shall be sent a placeholder.
    quarantine: groups that Envoy refused before; those that have changed since are let go.
    """
    chosen = [m for m in manifests if m.kind in KINDS or (m.kind == "Secret" and m.complete)]
    while True:
        state = snapshot(chosen, namespace, issued=issued, metadata=metadata)
        state = replace(state, ledger=ledger, rollout_states=rollout_states)
        compiled = compile_namespace(state, previous, now=now, place=place)
        if quarantine is not None:
            quarantine.review(compiled.decision.router)
            if quarantine.reasons:
                compiled = compile_namespace(quarantine.apply(state), previous, now=now, place=place)
        decision = compiled.decision
        if decision.is_settled:
            return Result(state, compiled, issued)
        issued = keyring.changed(issued, decision, now=now)
