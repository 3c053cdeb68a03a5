"""Several lanes at one time: a rotation, or a rollout, mostly waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from crash.lane import Lane
from crash.operators import Nursery
from harness.cluster import ApiServer

Kind = TypeVar("Kind", bound=Lane)


@asynccontextmanager
async def lanes(kind: type[Kind], api: ApiServer, folder: Path, numbers: range) -> AsyncIterator[list[Kind]]:
    """Lanes with these numbers, each with a folder of its own below `folder`; they end with the context."""
    nursery = Nursery()
    made = []
    for number in numbers:
        (folder / str(number)).mkdir()
        made.append(kind(api, nursery, folder / str(number), number))
    try:
        await asyncio.gather(*(lane.start() for lane in made))
        yield made
    finally:
        await asyncio.gather(*(lane.stop() for lane in made), return_exceptions=True)
        nursery.stop()
