"""A CanaryRollout's references: what the API server cannot check, because it spans objects. Pure."""

from collections.abc import Container, Iterable

from turnout.api import CanaryRollout, ModelGroup
from turnout.decide.verdict import Finding, Reason


def rollout_problem(rollout: CanaryRollout, groups: Iterable[ModelGroup], unreadable: Container[str]) -> Finding | None:
    """What is wrong with a rollout's group and model, or None. unreadable: groups that exist and do not parse."""
    spec = rollout.spec
    if spec.model_group in unreadable:
        return Finding(
            Reason.MODEL_GROUP_INVALID,
            "spec.modelGroup",
            f"ModelGroup '{spec.model_group}' has a mistake that its own status tells; correct that first.",
        )
    group = next((g for g in groups if g.metadata.name == spec.model_group), None)
    if group is None:
        return Finding(
            Reason.MODEL_GROUP_NOT_FOUND,
            "spec.modelGroup",
            f"ModelGroup '{spec.model_group}' does not exist in this namespace; create it or correct the name.",
        )
    models = [m.name for m in group.spec.models]
    if spec.model not in models:
        return Finding(
            Reason.MODEL_NOT_FOUND,
            "spec.model",
            f"ModelGroup '{spec.model_group}' has no model '{spec.model}' (it has {', '.join(models)}); add it to the"
            " chain or correct the name.",
        )
    if spec.model == models[0]:
        return Finding(
            Reason.CANARY_IS_PRIMARY,
            "spec.model",
            f"'{spec.model}' is the primary of ModelGroup '{spec.model_group}' already; name another of its models.",
        )
    return None
