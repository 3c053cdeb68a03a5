"""What keys have used, today and this month in UTC, counted once over restarts of routers and operators. Pure.

A router counts from zero when it starts, and only upwards. So a ledger keeps what each life of a router had counted
when it was last looked at, and only what came since is added. A look that follows midnight adds to the new day.

Books that begin anew, because there were none or they are lost, know nothing of routers that are older than they are.
What such a router had counted by the first look came since it began: it is booked on this month only if the router
began in it, and on today only if it began today. So a new namespace loses nothing, nobody pays for another month, and
what cannot be dated is left out. Routers that begin after the books count from zero.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal

NANO = 1_000_000_000
"""Billionths of a US dollar in one."""

Where = tuple[str, str, str]
"""Key, group and model."""


@dataclass(frozen=True)
class Use:
    """Answered requests, their tokens (prompt and answer), and their cost in billionths of a US dollar."""

    requests: int = 0
    tokens: int = 0
    nano_usd: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(self.requests + other.requests, self.tokens + other.tokens, self.nano_usd + other.nano_usd)

    def since(self, before: "Use") -> "Use":
        """What was added to `before`; all of it if a counter fell, because then it began anew."""
        if self.requests < before.requests or self.tokens < before.tokens or self.nano_usd < before.nano_usd:
            return self
        return Use(self.requests - before.requests, self.tokens - before.tokens, self.nano_usd - before.nano_usd)

    @property
    def usd(self) -> Decimal:
        """The cost in US dollars."""
        return Decimal(self.nano_usd) / NANO


Counts = Mapping[Where, Use]
NOTHING = Use()


@dataclass(frozen=True)
class Ledger:
    """The books of a namespace.

    Attributes:
        day: of which today is; None: nothing was counted yet.
        counted: life of a router → what it had counted when it was looked at last.
        opened: when the books began, aware UTC; None: not yet, or before all routers that there are.
    """

    day: date | None = None
    today: Counts = field(default_factory=dict)
    month: Counts = field(default_factory=dict)
    counted: Mapping[str, Counts] = field(default_factory=dict)
    opened: datetime | None = None

    def at(self, now: datetime) -> "Ledger":
        """As it is at that moment (aware): a new day, or a new month, begins with nothing. A clock that went back does
        not bring yesterday back.
        """
        day = now.astimezone(UTC).date()
        if self.day is not None and day <= self.day:
            return self
        same_month = self.day is not None and (self.day.year, self.day.month) == (day.year, day.month)
        opened = now if self.day is None else self.opened
        return Ledger(day, {}, self.month if same_month else {}, self.counted, opened)

    def looked(self, life: str, counts: Counts, now: datetime, began: datetime | None = None) -> "Ledger":
        """After a look at a router; life: one process of it, whose counters began at zero.

        began: when that was, aware; None: after the books.
        """
        book, before = self.at(now), self.counted.get(life, {})
        grown = {where: use.since(before.get(where, NOTHING)) for where, use in counts.items()}
        grown = {where: use for where, use in grown.items() if use != NOTHING}
        if not grown and life in self.counted:
            return book
        today, month = (True, True) if life in self.counted else _belongs(book, began)
        return replace(
            book,
            today=_sum(book.today, grown) if today else book.today,
            month=_sum(book.month, grown) if month else book.month,
            counted={**book.counted, life: {**before, **counts}},
        )

    def of_routers(self, lives: Set[str]) -> "Ledger":
        """Without routers that are gone, and count no more. One that may count again must be among these: its counts
        would be added twice.
        """
        counted = {life: counts for life, counts in self.counted.items() if life in lives}
        return self if len(counted) == len(self.counted) else replace(self, counted=counted)

    def of(self, key: str) -> "Usage":
        """What one key has used."""
        today, month = ({w[1:]: u for w, u in period.items() if w[0] == key} for period in (self.today, self.month))
        return Usage(today, month)


@dataclass(frozen=True)
class Usage:
    """What one key has used, by group and model."""

    today: Mapping[tuple[str, str], Use] = field(default_factory=dict)
    month: Mapping[tuple[str, str], Use] = field(default_factory=dict)

    @property
    def spent(self) -> Decimal:
        """US dollars this month."""
        return sum(self.month.values(), NOTHING).usd


def next_month(now: datetime) -> datetime:
    """When the next month begins, aware UTC."""
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _belongs(book: Ledger, began: datetime | None) -> tuple[bool, bool]:
    """Whether all that a router has counted which is new to the books is of today, and of this month."""
    if book.day is None or book.opened is None or began is None or began >= book.opened:
        return True, True
    since = began.astimezone(UTC).date()
    return since == book.day, (since.year, since.month) == (book.day.year, book.day.month)


def _sum(have: Counts, more: Counts) -> Counts:
    return {**have, **{where: have.get(where, NOTHING) + use for where, use in more.items()}} if more else have
