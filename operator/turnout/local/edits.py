"""A directory of manifests → a signal whenever it changed.

By looking, not by inotify: a look at a handful of files costs 50 µs, sees through symbolic links and network file
systems, and takes none of the inotify instances, of which a user has 128 and Envoy needs six.
"""

import asyncio
from collections.abc import AsyncIterator

from turnout.errors import UsageError
from turnout.local.directory import Directory

LOOK_S = 0.15
"""Seconds between looks."""
QUIET_S = 0.05
"""Seconds without a further change before a change counts: a file that is being written is read when it is whole."""


async def edits(directory: Directory, before: object) -> AsyncIterator[None]:
    """One item for each change since the fingerprint `before`; never ends.

    A directory that cannot be read has not changed until it can be again.
    """
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            now = directory.fingerprint()
            while now != before:
                before = now
                await asyncio.sleep(QUIET_S)
                now = directory.fingerprint()
                if now == before:
                    yield
        except UsageError:
            continue
