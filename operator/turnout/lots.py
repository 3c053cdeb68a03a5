"""Many things to do at the API server or at routers: some at one time, until something is more urgent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_lots(
    act: Callable[[T], Awaitable[R]], things: Sequence[T], size: int, interrupted: Callable[[], bool]
) -> list[R]:
    """What came of each, in order; if it was interrupted, of the first ones only. One lot is always done, so that even
    what is interrupted again and again gets on.

    size: at one time; interrupted: whether something is more urgent, seen between two lots.
    """
    done: list[R] = []
    while len(done) < len(things):
        done += await asyncio.gather(*map(act, things[len(done) : len(done) + size]))
        if interrupted():
            break
    return done
