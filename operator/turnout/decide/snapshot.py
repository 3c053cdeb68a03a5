"""What decide looks at: one namespace at one moment. Pure data; gathered by watch.store and local.directory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.api import CanaryRollout, ModelGroup, ScopedKey
from turnout.decide.canary.state import State
from turnout.decide.issued import Issued
from turnout.decide.usage import Ledger


@dataclass(frozen=True)
class Invalid:
    """An object that does not parse: the CRD is older than the operator, or a file is wrong. reason is for a person;
    uid is the object's, if it has one.
    """

    kind: str
    name: str
    reason: str
    uid: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """One namespace.

    Attributes:
        secrets: name → key → value, as bytes; at least those that the objects refer to, issued keys among them: one
            router may be another's provider. repr leaves them out.
        rollout_states: CanaryRollout name → how it stands, also of one that does not parse; one without an entry never
            ran.
        issued: ScopedKey name → its tokens. A key without one is to be issued one.
        invalid: objects that could not be parsed; they keep what they last had.
        ledger: what keys have used.
        foreign_secrets: names of Secrets that exist and are not Turnout's own, which it must not overwrite.
        secret_owners: names of Secrets that were written for a ScopedKey → its name.
    """

    namespace: str
    groups: tuple[ModelGroup, ...] = ()
    keys: tuple[ScopedKey, ...] = ()
    rollouts: tuple[CanaryRollout, ...] = ()
    rollout_states: Mapping[str, State] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict, repr=False)
    issued: Mapping[str, Issued] = field(default_factory=dict)
    invalid: tuple[Invalid, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    foreign_secrets: frozenset[str] = frozenset()
    secret_owners: Mapping[str, str] = field(default_factory=dict)
