"""What all three kinds share: names, references, metadata, conditions. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StrictBool, StrictStr, ValidationError, ValidatorFunctionWrapHandler, field_validator

from turnout.api.quantities import Time, Whole
from turnout.api.schema import Part, Rule, StatusPart, Text, Unique

GROUP = "turnout.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
NAME_LENGTH = 63
"""Characters in the name of a resource of ours. Names become label values, which hold 63."""

_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
SecretName = Annotated[
    str,
    Text(
        pattern=rf"^{_LABEL}(\.{_LABEL})*$",
        words="must be the name of a Secret: lower-case letters, digits, - and ., such as openai-key",
        max_length=253,
    ),
]
SecretKey = Annotated[
    str,
    Text(
        pattern="^[A-Za-z0-9._-]+$",
        words="must be a key inside the Secret: letters, digits, -, _ and ., such as api-key",
        max_length=253,
    ),
]
ObjectName = Annotated[
    str,
    Text(
        pattern=rf"^{_LABEL}(\.{_LABEL})*$",
        words="must be the name of an object: lower-case letters, digits, - and ., such as assistant",
        max_length=253,
    ),
]
ModelName = Annotated[
    str,
    Text(
        pattern="^[A-Za-z0-9@][A-Za-z0-9._:@/-]*$",
        words="must be a model name of letters, digits and . _ : @ / - only, such as meta-llama/Llama-3.1-8B",
        max_length=128,
    ),
]
"""Travels in comma-separated lists, in `a|b|c` chains and in HTTP headers: no blanks, quotes, commas or bars."""
Flag = StrictBool
Generation = Annotated[int, Whole(0, 2**53)]


class SecretKeyRef(Part):
    """One value inside a Secret of the same namespace."""

    name: SecretName
    """Name of the Secret, in the namespace of this object."""
    key: SecretKey
    """Key inside the Secret whose value is used."""


class ConditionType(StrEnum):
    """The conditions that Turnout writes."""

    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    PROGRAMMED = "Programmed"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PROVIDER_REFUSED = "ProviderRefused"
    FALLBACK_UNVERIFIED = "FallbackUnverified"
    ROTATING = "Rotating"
    ROTATION_BLOCKED = "RotationBlocked"
    ROTATION_FAILED = "RotationFailed"
    OLD_TOKEN_STILL_USED = "OldTokenStillUsed"
    BUDGET_WARNING = "BudgetWarning"
    LIMIT_BELOW_ROUTERS = "LimitBelowRouters"
    WEIGHT_OFF = "WeightOff"
    EXCLUDED_UNEVEN = "ExcludedUneven"
    EVIDENCE_MISSING = "EvidenceMissing"
    MEASUREMENT_BROKEN = "MeasurementBroken"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(StatusPart):
    """One condition, in Kubernetes' shape."""

    type: ConditionType
    """What the condition is about."""
    status: ConditionStatus
    """Whether it holds."""
    reason: Annotated[
        str,
        Text(pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", words="must be one CamelCase word", max_length=256),
    ]
    """Why, as one CamelCase word for programs."""
    message: Annotated[str, Field(strict=True, max_length=32768)]
    """Why, and what to do, for people."""
    observed_generation: Generation | None = None
    """The metadata.generation of the object that this was said of."""
    last_transition_time: Time
    """When `status` last changed."""


Conditions = Annotated[tuple[Condition, ...], Field(max_length=24), Unique(("type",))]


class Metadata(Part):
    """Kubernetes' object metadata. What Turnout does not look at is taken as it is."""

    name: ObjectName
    namespace: StrictStr | None = None
    uid: StrictStr | None = None
    generation: Generation | None = None
    resource_version: StrictStr | None = None
    labels: Mapping[StrictStr, StrictStr] = {}
    annotations: Mapping[StrictStr, StrictStr] = {}
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None
    generate_name: StrictStr | None = None
    finalizers: tuple[StrictStr, ...] = ()
    owner_references: tuple[Mapping[str, Any], ...] = ()
    managed_fields: tuple[Mapping[str, Any], ...] = ()
    self_link: StrictStr | None = None


class Resource(Part):
    """What the three kinds have in common. Build one from JSON with `parse`; a constructor takes Python names too."""

    metadata: Metadata
    """Standard object's metadata."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            field=".metadata.name",
            message=f"choose a name of at most {NAME_LENGTH} characters",
            cel=f"size(self.metadata.name) <= {NAME_LENGTH}",
            holds=lambda resource: len(resource.metadata.name) <= NAME_LENGTH,
        ),
    )

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """From the JSON of the API server or a manifest: JSON names only. null is left out, as it is there.

        Raises pydantic.ValidationError; api.problems turns that into words.
        """
        return cls.model_validate(_without_nulls(raw), by_alias=True, by_name=False)

    @field_validator("status", mode="wrap", check_fields=False)
    @classmethod
    def _forgive_status(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        """A status that cannot be read is none: the operator writes it anew, and must not refuse the object for it."""
        try:
            return handler(value)
        except ValidationError:
            return None


def _without_nulls(raw: Any) -> Any:
    if isinstance(raw, Mapping):
        return {key: _without_nulls(value) for key, value in raw.items() if value is not None}
    return [_without_nulls(entry) for entry in raw] if isinstance(raw, list) else raw
