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


def test_what_is_counted_is_what_was_seen_to_come() -> None:
    """Not what a router had counted before the first look, which may be of any time."""
    book, old = UseBook(), NOW - timedelta(days=3)
    assert looked(book, "a", 1_000_000, NOW, old).requests_since("t", old) == 0
    assert looked(book, "a", 1_000_007, NOW + LOOK).requests_since("t", NOW) == 7
    uses = looked(book, "a", 1_000_010, NOW + timedelta(minutes=5))
    assert [uses.requests_since("t", NOW + timedelta(minutes=m)) for m in (0, 1, 5, 6)] == [10, 3, 3, 0]
    uses = looked(book, "a", 1_000_011, NOW + timedelta(minutes=62))
    assert uses.requests_since("t", NOW) == 4, "for an hour"


def test_a_router_that_is_silent_to_its_end_is_a_gap() -> None:
    """It took with it what it saw; until its end nobody can tell, and then watching begins anew."""
    book = UseBook()
    for life in ("a", "b"):
        book.add(life, (), NOW)
    assert book.uses(["a", "b"], NOW).watched == (NOW, NOW)
    later = NOW
    for _ in range(3):
        later += timedelta(minutes=1)
        book.add("a", (), later)
        book.keep({"a", "b"})
        assert book.uses(["a", "b"], later).unused_for("t") is None
    assert book.uses(["a"], later).watched is None, "not ready any more, and still silent"
    later += timedelta(minutes=1)
    book.add("a", (), later)
    book.keep({"a"})
    assert book.uses(["a"], later).watched == (later, later)


def test_a_router_that_answers_again_tells_what_it_saw_meanwhile() -> None:
    """Which is no gap."""
    book = UseBook()
    book.add("a", (), NOW)
    book.uses(["a"], NOW)
    assert book.uses(["a"], NOW + LOOK).watched is None
    assert looked(book, "a", 0, NOW + 2 * LOOK).watched == (NOW, NOW + 2 * LOOK)
