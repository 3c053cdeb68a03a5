"""What decide found out about each object: values, never exceptions. infra.status turns them into conditions."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why an object is accepted and resolved, or not: reasons of conditions, one for each mistake of a user."""

    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    """The spec does not parse; the API server would refuse it today."""
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"
    SECRET_VALUE_INVALID = "SecretValueInvalid"
    """Empty, or with characters that cannot stand in a header; or a CA that is no certificate."""
    SECRET_CONFLICT = "SecretConflict"
    """The Secret that a key would write exists and belongs to somebody else, or to another key."""
    TOO_LARGE = "TooLarge"
    """The namespace's configuration would not fit into a Secret."""
    MODEL_GROUP_NOT_FOUND = "ModelGroupNotFound"
    MODEL_GROUP_INVALID = "ModelGroupInvalid"
    """The group exists, but cannot be read."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """A rollout names a model that its group does not have."""
    CANARY_IS_PRIMARY = "CanaryIsPrimary"
    PRICE_MISSING = "PriceMissing"
    """A rollout compares costs, and its group has no price of one of the two models."""
    GROUP_HAS_ROLLOUT = "GroupHasRollout"
    """Another rollout is under way on the same group."""
    TIME_ZONE_UNKNOWN = "TimeZoneUnknown"
    RESOLVED = "ResolvedRefs"


class Phase(StrEnum):
    """Life of a ScopedKey as decide sees it."""

    PENDING = "Pending"
    ACTIVE = "Active"
    ROTATING = "Rotating"
    EXPIRED = "Expired"
    REVOKED = "Revoked"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. path is the field in JSON names; message says what to do and ends with a full stop."""

    reason: Reason
    path: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What is to be said about one object.

    Attributes:
        kind, name: the object.
        generation: metadata.generation that this verdict is about.
        problem: why it could not be compiled; None if it could.
        stale: True if the last good configuration is served in place of this one.
        unresolved: names that do not exist (yet) but do no harm, such as a group in a key's list.
        uid: the object's, if it has one. One that is deleted and made again has another, and needs another verdict.
    """

    kind: str
    name: str
    generation: int
    problem: Finding | None = None
    stale: bool = False
    unresolved: tuple[Finding, ...] = ()
    uid: str | None = None
