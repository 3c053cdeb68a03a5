"""Snapshot → Decision and files, within the size that a Secret holds. Pure.

What does not fit waits: of the groups that changed the largest is held back first, so that one group that grows cannot
keep the others from changing.
"""

from dataclasses import dataclass
from datetime import datetime

from turnout.decide.build import Decision, decide
from turnout.decide.ir import Router
from turnout.decide.snapshot import Snapshot
from turnout.xds.place import Place
from turnout.xds.render import Files, render

LARGEST_FILES = 1_000_000
"""Bytes of all files of a namespace. Kubernetes refuses a Secret whose data are above 1 MiB (1,048,576 bytes)."""


@dataclass(frozen=True)
class Compiled:
    """A decision and the files that carry it out."""

    decision: Decision
    files: Files


def compile_namespace(
    snapshot: Snapshot, previous: Router | None, *, now: datetime, place: Place, largest: int = LARGEST_FILES
) -> Compiled:
    """Decide and render a namespace; now is aware UTC, largest is in bytes.

    Keys are never held back: without them nobody gets in. Files that are too large for their sake are refused by the
    API server, which status then shows.
    """
    hold: frozenset[str] = frozenset()
    while True:
        decision = decide(snapshot, previous, now=now, hold=hold)
        files = render(decision.router, place)
        largest_change = None if files.size <= largest else _largest_change(decision.router, previous, hold)
        if largest_change is None:
            return Compiled(decision, files)
        hold |= {largest_change}


def _largest_change(router: Router, previous: Router | None, hold: frozenset[str]) -> str | None:
    """Name of the largest group that differs from the one before and is not held yet."""
    changed = [g for g in router.groups if g.name not in hold and (previous is None or previous.group(g.name) != g)]
    return max(changed, key=lambda g: (len(g.members), g.name)).name if changed else None
