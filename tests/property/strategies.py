"""Hypothesis strategies: whole namespaces with groups that share endpoints, Secrets that exist or not, and keys."""

from typing import Any

from hypothesis import strategies as st

from golden.golden import SECRET_MARK, token
from turnout.api import ModelGroup, ScopedKey
from turnout.decide.issued import Issued
from turnout.decide.snapshot import Snapshot

HOSTS = ("api.one.example", "api.two.example:8443", "192.0.2.7")
SECRETS = ("first", "second", "absent")
NAMES = ("alpha", "beta", "gamma", "delta")
API = "turnout.dev/v1alpha1"

prices = st.decimals(min_value=0, max_value=100, places=4).map(str)
limits = st.integers(1, 1000)
capacities = st.fixed_dictionaries({"requestsPerMinute": limits}, optional={"concurrentRequests": limits})
features = st.lists(st.sampled_from(["tools", "vision", "audio", "json_schema"]), unique=True)
seconds = st.integers(10, 3600).map("{}s".format)


@st.composite
def models(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A model named name at one of few endpoints, so that lanes are shared."""
    model: dict[str, Any] = {
        "name": name,
        "endpoint": {"baseURL": f"{draw(st.sampled_from(('https', 'http')))}://{draw(st.sampled_from(HOSTS))}/v1"},
        "fallback": draw(st.booleans()) or name == "m0",
        "price": {"input": draw(prices), "output": draw(prices)},
    }
    if draw(st.booleans()):
        model["endpoint"]["apiKeySecretRef"] = {"name": draw(st.sampled_from(SECRETS)), "key": "api-key"}
    optional = {"capacity": capacities, "contextWindow": st.integers(1, 1_000_000), "features": features}
    return model | draw(st.fixed_dictionaries({}, optional=optional))


@st.composite
def groups(draw: st.DrawFn, name: str) -> ModelGroup:
    """A group of one to four models."""
    chain = [draw(models(f"m{i}")) for i in range(draw(st.integers(1, 4)))]
    optional = {
        "timeouts": st.fixed_dictionaries({}, optional={"request": seconds, "total": st.just("1h")}),
        "warm": st.fixed_dictionaries({"every": seconds}),
    }
    spec = {"models": chain, "attemptsPerModel": draw(st.integers(1, 3))}
    spec |= draw(st.fixed_dictionaries({}, optional=optional))
    return ModelGroup.parse(
        {"apiVersion": API, "kind": "ModelGroup", "metadata": {"name": name, "namespace": "ai"}, "spec": spec}
    )


@st.composite
def keys(draw: st.DrawFn, name: str) -> ScopedKey:
    """A key for some groups, existing or not."""
    rights = {"scopes": ["*"], "modelGroups": sorted(draw(st.sets(st.sampled_from(NAMES), min_size=1)))}
    limits = {"requestsPerMinute": draw(st.integers(1, 1000))} if draw(st.booleans()) else None
    spec = {**rights, **({"limits": limits} if limits else {})}
    return ScopedKey.parse(
        {"apiVersion": API, "kind": "ScopedKey", "metadata": {"name": name, "namespace": "ai"}, "spec": spec}
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """A namespace with up to four groups and four keys, and two of the three Secrets that they may ask for."""
    group_names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    key_names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    found = tuple(draw(keys(f"key-{n}")) for n in key_names)
    return Snapshot(
        namespace="ai",
        groups=tuple(draw(groups(n)) for n in group_names),
        keys=found,
        secrets={n: {"api-key": f"{SECRET_MARK}{n}".encode()} for n in SECRETS[:2]},
        issued={k.metadata.name: Issued((token(k.metadata.name),)) for k in found if draw(st.booleans())},
    )
