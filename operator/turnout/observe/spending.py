"""A router's metrics → what each key has used, by group and model. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from prometheus_client.samples import Sample

from turnout.decide.usage import Use, Where

REQUESTS = "turnout_key_requests_total"
TOKENS = frozenset({"turnout_tokens_in_total", "turnout_tokens_out_total"})
COST = "turnout_cost_nanousd_total"


def spending(samples: Iterable[Sample]) -> dict[Where, Use]:
    """What a router has counted since it began."""
    found: defaultdict[Where, Use] = defaultdict(Use)
    for sample in samples:
        use = _use(sample.name, int(sample.value))
        if use is not None:
            found[sample.labels["key"], sample.labels["group"], sample.labels["model"]] += use
    return dict(found)


def _use(name: str, value: int) -> Use | None:
    if name == REQUESTS:
        return Use(requests=value)
    if name in TOKENS:
        return Use(tokens=value)
    return Use(nano_usd=value) if name == COST else None
