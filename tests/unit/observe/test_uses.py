"""When tokens were used last: by routers that were watched all the time, and by those that a new operator finds."""

from datetime import UTC, datetime, timedelta

from turnout.decide.facts import Uses
from turnout.observe.scrape import samples
from turnout.observe.uses import UseBook

NOW = datetime(2026, 11, 27, 12, 30, 0, tzinfo=UTC)
LOOK = timedelta(seconds=5)
TEXT = """# TYPE turnout_token_requests counter
turnout_token_requests{{key="app",token="t"}} {requests}
"""
DATED = """# TYPE turnout_token_last_used_timestamp_seconds gauge
turnout_token_last_used_timestamp_seconds{{key="app",token="t"}} {used}
"""


def looked(book: UseBook, life: str, requests: int, now: datetime, used: datetime | None = None) -> Uses:
    """After a look at one router."""
    text = TEXT.format(requests=requests) + (DATED.format(used=int(used.timestamp())) if used else "")
    book.add(life, samples(text), now)
    return book.uses([life], now)


def test_what_a_router_counted_before_the_first_look_is_dated_by_the_router() -> None:
    """A new operator does not take it for a use of just now."""
    used = NOW - timedelta(hours=3)
    assert looked(UseBook(), "a", 5, NOW, used).last == {"t": used}


def test_what_came_since_the_last_look_is_dated_by_the_look() -> None:
    """Whatever the router's clock says: it may be late, and the token be taken for unused."""
    book = UseBook()
    looked(book, "a", 5, NOW, NOW - timedelta(hours=3))
    assert looked(book, "a", 6, NOW + LOOK, NOW - timedelta(hours=2)).last == {"t": NOW + LOOK}
    assert looked(book, "a", 6, NOW + 2 * LOOK, NOW - timedelta(hours=2)).last == {"t": NOW + LOOK}


def test_a_router_found_later_does_not_make_a_use_older() -> None:
    """The latest over all of them counts; one that gives no date, or one in the future, was used by now."""
    book = UseBook()
    looked(book, "a", 5, NOW, NOW - LOOK)
    assert looked(book, "b", 1, NOW, NOW - timedelta(hours=3)).last == {"t": NOW - LOOK}
    assert looked(book, "c", 1, NOW + LOOK, NOW + timedelta(hours=1)).last == {"t": NOW + LOOK}
    assert looked(UseBook(), "a", 5, NOW).last == {"t": NOW}


def test_a_token_that_was_never_used_has_no_date() -> None:
    """Nor one that only verify was asked with."""
    assert looked(UseBook(), "a", 0, NOW).last == {}
