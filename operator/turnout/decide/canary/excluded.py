"""Requests that are no evidence → whether one of two models has surely more of them than chance gives it. Pure.

A client's own mistake says nothing of a model, nor does a client that left. But lots are drawn, so both arms have the
same share of such clients: if the canary surely has more, it refuses good requests, or lets clients wait until they
leave. No gate judges that, because which ones they are nobody knows.
"""

from turnout.api.canaryrollout import Gates
from turnout.decide.canary.sequences import Share, difference_bounds
from turnout.decide.evidence import HUNG_UP, REFUSED, ArmCounts

OWN = 0.1
"""Of what confidence leaves, so much is the chance that an equal canary is ever said to have more, in a whole rollout.
It comes on top of the gates' own: a person is asked then, and nothing goes back. A guess."""
KINDS = ((REFUSED, "were refused as mistakes of the client"), (frozenset({HUNG_UP}), "ended because the client left"))


def excess(gates: Gates, *, canary: ArmCounts, baseline: ArmCounts, periods: int) -> str:
    """Of what the canary surely has more, in words; empty: of nothing. periods: as for `gates.judge`.

    The share of either may be higher by as much as that of errors may: a good request that is refused is no worse than
    one that fails, and two models that both are good refuse a little unlike.
    """
    alpha = (1 - float(gates.confidence)) * OWN / (len(KINDS) * periods)
    limit, found = float(gates.error_rate.max_increase), []
    for results, words in KINDS:
        ours, theirs = (Share(sum(arm.results.get(r, 0) for r in results), arm.drawn) for arm in (canary, baseline))
        if theirs.of and ours.value > theirs.value and difference_bounds(ours, theirs, alpha).low > limit:
            counts = (
                f"{ours.hits:,} of {ours.of:,} requests of the canary {words}, and {theirs.hits:,} of {theirs.of:,}"
            )
            found.append(f"{counts} of the baseline's: that is surely no chance.")
    return " ".join(found)
