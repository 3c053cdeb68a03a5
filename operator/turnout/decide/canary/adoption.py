"""Which edit of a group makes a rollout's canary its primary. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any


def adopted(models: Sequence[Mapping[str, Any]], canary: str) -> list[dict[str, Any]]:
    """The models of a group as users wrote them, with the canary first. A primary is a fallback, so it says nothing of
    that.

    Raises KeyError if there is no such model.
    """
    chosen = [dict(model) for model in models if model["name"] == canary]
    if not chosen:
        raise KeyError(canary)
    return [{k: v for k, v in chosen[0].items() if k != "fallback"}, *(dict(m) for m in models if m["name"] != canary)]
