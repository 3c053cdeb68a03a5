"""IR → the filter's table: all that it knows of lanes, groups and keys, as lines of tab-separated words. Pure.

Read by operator/turnout/filter/src/table.rs; the two change together, and the first line carries the format's version.
It travels as the configuration of the front role: a new price, chain, credential or key touches no cluster, no route.
"""

import json
from collections.abc import Iterator

from turnout.decide.ir import Group, Key, Lane, Member, Router

VERSION = 1
"""Version of the format. A filter refuses a table of another version, and Envoy then keeps the last one."""


def table(router: Router) -> str:
    """The table of a router. Contains credentials: never log it."""
    lines = [("turnout", VERSION), *map(_lane, router.lanes)]
    for group in router.groups:
        lines.append(_group(group))
        lines.extend(_member(group, member) for member in group.members)
    lines.extend(_keys(router.keys))
    return "".join("\t".join(map(str, line)) + "\n" for line in lines)


def _lane(lane: Lane) -> tuple[str, ...]:
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
    )


def _group(group: Group) -> tuple[str | int, ...]:
    times = (group.first_token_ms, group.request_ms, group.idle_ms)
    return ("group", group.name, *times, group.attempts_per_model, group.delivery.value.lower())


def _member(group: Group, member: Member) -> tuple[str | int, ...]:
    circuit, price = member.circuit, member.price
    return (
        "model",
        group.name,
        member.name,
        member.lane.id,
        member.weight,
        int(member.fallback),
        circuit.failures,
        circuit.recovery_ms,
        circuit.half_open_requests,
        circuit.ramp_ms,
        price.input,
        price.cached_input,
        price.output,
    )


def _keys(keys: tuple[Key, ...]) -> Iterator[tuple[str | int, ...]]:
    """One line for each key; its tokens share it."""
    for key in {k.name: k for k in keys}.values():
        rights = (",".join(key.scopes), ",".join(key.groups))
        limits = (key.requests_per_minute or 0, key.tokens_per_minute or 0)
        yield ("key", key.name, key.expires_at_ms or 0, *rights, *limits)
