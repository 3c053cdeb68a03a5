"""What may happen at a write of a rotation."""

from dataclasses import dataclass

from aiohttp import web

from crash.api_proxy import Forward, Write, refusal
from crash.install import KEY
from crash.lane import Disturb, Lane

AN_HOUR_S = 3600.0


@dataclass(frozen=True)
class Disturbance:
    """One kind of trouble.

    Attributes:
        restart: whether the operator is dead afterwards, and is started again.
        fatal: whether the key is gone, or dead, afterwards: nobody is let in, on purpose.
    """

    name: str
    act: Disturb
    restart: bool = False
    fatal: bool = False


async def killed_before(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """The write never gets there."""
    lane.kill_operator()
    raise ConnectionError


async def killed_after(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """It is done, and nobody is left who knows."""
    await lane.passed_on(write, forward)
    lane.kill_operator()
    raise ConnectionError


async def answer_lost(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """It is done, and its writer does not learn that."""
    await lane.passed_on(write, forward)
    raise ConnectionError


def refused(status: int) -> Disturb:
    """The API server says no, this once."""

    async def act(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
        return refusal(status)

    return act


async def router_replaced(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """A router pod goes, and another comes."""
    lane.beside(lane.replace_router())
    return await lane.passed_on(write, forward)


async def edited(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """Something else of the key changes."""
    await lane.admin.patch(f"scopedkeys/{KEY}", {"spec": {"limits": {"requestsPerMinute": 1_000_000 + write.number}}})
    return await lane.passed_on(write, forward)


async def asked_again(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """Another rotation is asked for."""
    await lane.rotate()
    return await lane.passed_on(write, forward)


async def clock_back(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """The operator's clock goes back by an hour, until the rotation is over."""
    lane.set_clock(-AN_HOUR_S)
    return await lane.passed_on(write, forward)


async def revoked(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """The key is revoked."""
    lane.unwatched()
    await lane.admin.patch(f"scopedkeys/{KEY}", {"spec": {"revoked": True}})
    return await lane.passed_on(write, forward)


async def deleted(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
    """The key is deleted."""
    lane.unwatched()
    await lane.admin.delete(f"scopedkeys/{KEY}")
    return await lane.passed_on(write, forward)


DISTURBANCES = {
    found.name: found
    for found in (
        Disturbance("killed before", killed_before, restart=True),
        Disturbance("killed after", killed_after, restart=True),
        Disturbance("answer lost", answer_lost),
        Disturbance("409", refused(409)),
        Disturbance("403", refused(403)),
        Disturbance("500", refused(500)),
        Disturbance("router replaced", router_replaced),
        Disturbance("key edited", edited),
        Disturbance("asked again", asked_again),
        Disturbance("clock back", clock_back),
        Disturbance("key revoked", revoked, fatal=True),
        Disturbance("key deleted", deleted, fatal=True),
    )
}
