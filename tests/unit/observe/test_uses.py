"""When tokens were used last: by routers that were watched all the time, and by those that a new operator finds."""

from datetime import UTC, datetime, timedelta

from turnout.decide.facts import Uses
from turnout.observe.scrape import samples
from turnout.observe.uses import UseBook

NOW = datetime(2026, 11, 27, 12, 30, 0, tzinfo=UTC)
LOOK = timedelta(seconds=5)
T, NEW = "00c0ffee", "beef0001"
TEXT = """# TYPE turnout_token_requests counter
turnout_token_requests{{key="app",slot="0"}} {requests}
# TYPE turnout_token_last_used_id gauge
turnout_token_last_used_id{{key="app",slot="0"}} {number}
"""
DATED = """# TYPE turnout_token_last_used_timestamp_seconds gauge
turnout_token_last_used_timestamp_seconds{{key="app",slot="0"}} {used}
"""


def looked(
    book: UseBook, life: str, requests: int, now: datetime, used: datetime | None = None, token: str = T
) -> Uses:
    """After a look at one router, whose last request in the slot was with that token."""
    text = TEXT.format(requests=requests, number=int(f"1{token}", 16)) if requests else ""
    text += DATED.format(used=int(used.timestamp())) if used else ""
    book.add(life, samples(text), now)
    return book.uses([life], now)


def test_what_a_router_counted_before_the_first_look_is_dated_by_the_router() -> None:
    """A new operator does not take it for a use of just now."""
    used = NOW - timedelta(hours=3)
    assert looked(UseBook(), "a", 5, NOW, used).last == {T: used}


def test_what_came_since_the_last_look_is_dated_by_the_look() -> None:
    """Whatever the router's clock says: it may be late, and the token be taken for unused."""
    book = UseBook()
    looked(book, "a", 5, NOW, NOW - timedelta(hours=3))
    assert looked(book, "a", 6, NOW + LOOK, NOW - timedelta(hours=2)).last == {T: NOW + LOOK}
    assert looked(book, "a", 6, NOW + 2 * LOOK, NOW - timedelta(hours=2)).last == {T: NOW + LOOK}


def test_a_router_found_later_does_not_make_a_use_older() -> None:
    """The latest over all of them counts; one that gives no date, or one in the future, was used by now."""
    book = UseBook()
    looked(book, "a", 5, NOW, NOW - LOOK)
    assert looked(book, "b", 1, NOW, NOW - timedelta(hours=3)).last == {T: NOW - LOOK}
    assert looked(book, "c", 1, NOW + LOOK, NOW + timedelta(hours=1)).last == {T: NOW + LOOK}
    assert looked(UseBook(), "a", 5, NOW).last == {T: NOW}


def test_a_token_that_was_never_used_has_no_date() -> None:
    """Nor one that only verify was asked with."""
    assert looked(UseBook(), "a", 0, NOW).last == {}


def test_what_is_counted_is_what_was_seen_to_come() -> None:
    """Not what a router had counted before the first look, which may be of any time."""
    book, old = UseBook(), NOW - timedelta(days=3)
    assert looked(book, "a", 1_000_000, NOW, old).requests_since(T, old) == 0
    assert looked(book, "a", 1_000_007, NOW + LOOK).requests_since(T, NOW) == 7
    uses = looked(book, "a", 1_000_010, NOW + timedelta(minutes=5))
    assert [uses.requests_since(T, NOW + timedelta(minutes=m)) for m in (0, 1, 5, 6)] == [10, 3, 3, 0]
    uses = looked(book, "a", 1_000_011, NOW + timedelta(minutes=62))
    assert uses.requests_since(T, NOW) == 4, "for an hour"


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
        assert book.uses(["a", "b"], later).unused_for(T) is None
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


def test_a_slot_that_passed_on_between_two_looks_tells_of_its_new_holder() -> None:
    """The old one is dead, so what both had is taken for the new one's; what the old one had before stays its own."""
    book = UseBook()
    looked(book, "a", 0, NOW)
    looked(book, "a", 5, NOW + LOOK)
    uses = looked(book, "a", 9, NOW + 2 * LOOK, token=NEW)
    assert uses.last == {T: NOW + LOOK, NEW: NOW + 2 * LOOK}
    assert [uses.requests_since(token, NOW) for token in (T, NEW)] == [5, 4]


def test_a_new_holder_has_nothing_of_the_old_ones_until_it_is_used() -> None:
    """Neither its requests nor its time, whatever the keyring says of the slot: for an operator that was there, and for
    one that finds the router so.
    """
    used = NOW - timedelta(hours=3)
    book = UseBook()
    for now in (NOW, NOW + LOOK):
        assert looked(book, "a", 5, now, used).last == {T: used}
    assert looked(book, "a", 6, NOW + 2 * LOOK, NOW, token=NEW).last == {T: used, NEW: NOW + 2 * LOOK}
    assert looked(UseBook(), "a", 6, NOW, NOW - LOOK, token=NEW).last == {NEW: NOW - LOOK}


def test_a_router_that_is_behind_tells_of_the_token_that_it_still_takes() -> None:
    """It has the slot's old holder, or that of a key of the same name that is deleted; another has the new one."""
    book = UseBook()
    for life in ("behind", "a"):
        looked(book, life, 5, NOW, NOW - LOOK)
    looked(book, "behind", 7, NOW + LOOK)
    uses = looked(book, "a", 6, NOW + LOOK, token=NEW)
    assert [uses.requests_since(token, NOW) for token in (T, NEW)] == [2, 1]


def test_a_use_that_is_told_before_it_is_counted_is_not_lost() -> None:
    """A look may come between the two; the next one counts it."""
    book = UseBook()
    looked(book, "a", 5, NOW, NOW - LOOK)
    assert looked(book, "a", 5, NOW + LOOK, token=NEW).last[NEW] == NOW + LOOK
    uses = looked(book, "a", 6, NOW + 2 * LOOK, token=NEW)
    assert (uses.last[NEW], uses.requests_since(NEW, NOW)) == (NOW + 2 * LOOK, 1)


def test_slots_of_one_number_are_told_apart_by_their_keys() -> None:
    """Every key has a slot 0."""
    book = UseBook()
    texts = [TEXT.format(requests=1, number=int(f"1{token}", 16)) for token in (T, NEW)]
    book.add("a", [*samples(texts[0]), *samples(texts[1].replace("app", "billing"))], NOW)
    assert book.uses(["a"], NOW).last == {T: NOW, NEW: NOW}


def test_who_does_not_say_which_token_it_was_tells_nothing() -> None:
    """As a router of another version."""
    book = UseBook()
    for requests in (1, 2):
        book.add("a", samples(TEXT.format(requests=requests, number=0)), NOW)
    assert book.uses(["a"], NOW).last == {}


def test_tokens_that_are_in_no_keyring_are_forgotten() -> None:
    """They come and go for ever. What a router still shows of one does not bring it back at each look."""
    book = UseBook()
    looked(book, "a", 5, NOW)
    looked(book, "a", 6, NOW + LOOK)
    looked(book, "a", 7, NOW + 2 * LOOK, token=NEW)
    book.forget({NEW, "deadbeef"})
    uses = looked(book, "a", 7, NOW + 3 * LOOK, token=NEW)
    assert (uses.last, set(uses.requests)) == ({NEW: NOW + 2 * LOOK}, {NEW})
