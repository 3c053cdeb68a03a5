"""IR → the filter's table: all that it knows of lanes, groups and keys, as lines of tab-separated words. Pure.

Read by operator/turnout/filter/src/table.rs; the two change together, and the first line carries the format's version.
It travels as the configuration of the front role: a new price, chain, credential or key touches no cluster, no route.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator

from turnout.decide.ir import Canary, Group, Key, Lane, Member, Router

VERSION = 7
"""Version of the format. A filter refuses a table of another version, and Envoy then keeps the last one."""


def table(router: Router) -> str:
    """The table of a router. Contains credentials: never log it."""
    sharing: defaultdict[str, list[Member]] = defaultdict(list)
    for member in (member for group in router.groups for member in group.members):
        sharing[member.lane.id].append(member)
    lines = [("turnout", VERSION), *(_lane(lane, sharing[lane.id]) for lane in router.lanes)]
    for group in router.groups:
        lines.append(_group(group))
        lines.extend(_member(group, member) for member in group.members)
        if group.canary:
            lines.append(_canary(group.name, group.canary))
    lines.extend(_keys(router.keys))
    return "".join("\t".join(map(str, line)) + "\n" for line in lines)


def _lane(lane: Lane, sharing: list[Member]) -> tuple[str | int, ...]:
    credential = f"Bearer {lane.credential.get_secret_value()}" if lane.credential else ""
    return (
        "lane",
        lane.id,
        lane.endpoint.cluster,
        lane.endpoint.authority,
        lane.prefix,
        "authorization" if lane.credential else "",
        credential,
        json.dumps(lane.upstream_name)[1:-1],
        _least(member.capacity.requests_per_minute for member in sharing),
        _least(member.capacity.concurrent_requests for member in sharing),
        _least(member.warm_ms for member in sharing),
    )


def _least(limits: Iterable[int]) -> int:
    """The strictest of those who share a lane; 0, which is no limit, only if none has one."""
    return min(filter(None, limits), default=0)


def _group(group: Group) -> tuple[str | int, ...]:
    times = (group.first_token_ms, group.request_ms, group.idle_ms, group.total_ms)
    return ("group", group.name, *times, group.attempts_per_model, group.delivery.value.lower())


def _member(group: Group, member: Member) -> tuple[str | int, ...]:
    circuit, price = member.circuit, member.price
    return (
        "model",
        group.name,
        member.name,
        member.lane.id,
        int(member.fallback),
        circuit.failures,
        circuit.recovery_ms,
        circuit.half_open_requests,
        circuit.ramp_ms,
        price.input,
        price.cached_input,
        price.output,
        member.window,
        "*" if member.features is None else ",".join(member.features),
    )


def _canary(group: str, canary: Canary) -> tuple[str | int, ...]:
    share = (canary.weight, int(canary.sticky))
    return ("canary", group, canary.rollout, canary.tag, canary.model, *share, canary.baseline)


def _keys(keys: tuple[Key, ...]) -> Iterator[tuple[str | int, ...]]:
    """One line for each key, and one for each of its tokens."""
    for key in {k.name: k for k in keys}.values():
        rights = (",".join(key.scopes), ",".join(key.groups))
        limits = (key.requests_per_minute or 0, key.tokens_per_minute or 0)
        yield ("key", key.name, *rights, *limits, int(key.spent))
    yield from (("token", key.name, key.token_id, key.slot, key.expires_at_ms or 0) for key in keys)
