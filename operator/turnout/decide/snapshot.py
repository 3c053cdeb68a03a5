"""What decide looks at: one namespace at one moment. Pure data; gathered by watch.store and local.directory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import SecretStr

from turnout.api import CanaryRollout, ModelGroup, ScopedKey


@dataclass(frozen=True)
class Token:
    """One token issued for a ScopedKey. issued_at is aware UTC; owner is the key's uid, if it has one.

    A key that is deleted and made again has another uid: what was issued for the old one is dead.
    """

    id: str
    token: SecretStr
    issued_at: datetime
    owner: str | None = None


@dataclass(frozen=True)
class Invalid:
    """An object that does not parse: the CRD is older than the operator, or a file is wrong. reason is for a person."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class Snapshot:
    """One namespace.

    Attributes:
        secrets: name → key → value, as bytes; at least those that the objects refer to, issued keys among them: one
            router may be another's provider. repr leaves them out.
        tokens: ScopedKey name → its living tokens, newest last. A key without one is to be issued one.
        invalid: objects that could not be parsed; they keep what they last had.
        foreign_secrets: names of Secrets that exist and are not Turnout's own, which it must not overwrite.
    """

    namespace: str
    groups: tuple[ModelGroup, ...] = ()
    keys: tuple[ScopedKey, ...] = ()
    rollouts: tuple[CanaryRollout, ...] = ()
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict, repr=False)
    tokens: Mapping[str, tuple[Token, ...]] = field(default_factory=dict)
    invalid: tuple[Invalid, ...] = ()
    foreign_secrets: frozenset[str] = frozenset()
