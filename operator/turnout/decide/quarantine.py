"""Groups whose configuration a router has refused: they keep their last good one, and the others go on. No I/O.

Envoy takes or refuses each file by itself, so after a refusal a router runs a mixture, in which a model may point at a
cluster that does not exist. And a bad group must not hold back what comes after it, such as the end of a revoked key.
"""

from collections.abc import Mapping
from dataclasses import replace

from turnout.decide.ir import Group, Router
from turnout.decide.snapshot import Invalid, Snapshot


class Quarantine:
    """Remembers what was refused, as it was then: a group that is something else by now gets another chance."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Group, str]] = {}

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why, by group, in the router's words."""
        return {name: why for name, (_, why) in self._held.items()}

    def review(self, router: Router) -> None:
        """Let go what has changed since; router: as it would be without quarantine."""
        self._held = {name: held for name, held in self._held.items() if router.group(name) == held[0]}

    def apply(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot in which what is held counts as unreadable, so that the last good one is kept."""
        uids = {group.metadata.name: group.metadata.uid for group in snapshot.groups}
        held = sorted(self.reasons.items())
        invalid = tuple(Invalid("ModelGroup", name, why, uids.get(name)) for name, why in held)
        groups = tuple(group for group in snapshot.groups if group.metadata.name not in self._held)
        return replace(snapshot, groups=groups, invalid=(*snapshot.invalid, *invalid))

    def add(self, router: Router, good: Router | None, why: str) -> bool:
        """Hold whatever may be to blame for a refusal of router; whether anything can be held.

        good: what ran before. Suspects are the groups that differ from it; those whose clusters the router's words
        name, if they name any. Not all groups at once unless they have something to fall back to.
        """
        suspects = [group for group in router.groups if good is None or good.group(group.name) != group]
        named = [g for g in suspects if any(member.lane.endpoint.cluster in why for member in g.members)]
        found = {group.name: (group, why) for group in named or suspects}
        left = [group for group in router.groups if group.name not in found or (good and good.group(group.name))]
        if not left:
            return False
        self._held |= found
        return bool(found)
