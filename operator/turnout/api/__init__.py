"""What users write and read: the three resources as pydantic models. Pure. crds/ is generated from them."""

from turnout.api.canaryrollout import CanaryRollout, CanaryRolloutSpec
from turnout.api.canaryrollout_status import CanaryRolloutStatus
from turnout.api.common import (
    API_VERSION,
    GROUP,
    VERSION,
    Condition,
    ConditionStatus,
    ConditionType,
    Metadata,
    Resource,
)
from turnout.api.modelgroup import Circuit, Delivery, Endpoint, Model, ModelGroup, ModelGroupSpec
from turnout.api.modelgroup_status import ModelGroupStatus
from turnout.api.scopedkey import Scope, ScopedKey, ScopedKeySpec, ScopedKeyStatus

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "CanaryRollout",
    "CanaryRolloutSpec",
    "CanaryRolloutStatus",
    "Circuit",
    "Condition",
    "ConditionStatus",
    "ConditionType",
    "Delivery",
    "Endpoint",
    "Metadata",
    "Model",
    "ModelGroup",
    "ModelGroupSpec",
    "ModelGroupStatus",
    "Resource",
    "Scope",
    "ScopedKey",
    "ScopedKeySpec",
    "ScopedKeyStatus",
]
