"""What keys used is counted once, whatever restarts, and begins anew with each day and month."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.decide.usage import NANO, Ledger, Usage, Use, next_month
from turnout.infra.ledger import dump, load

NOW = datetime(2026, 11, 29, 23, 59, tzinfo=UTC)
APP, OTHER = ("app", "assistant", "gpt"), ("app", "assistant", "llama")


def seen(requests: int, where: tuple[str, str, str] = APP) -> Mapping[tuple[str, str, str], Use]:
    """A router's counts after so many requests of ten tokens and a cent."""
    return {where: Use(requests, 10 * requests, NANO // 100 * requests)}


def month(ledger: Ledger) -> int:
    """Requests of all keys."""
    return sum(use.requests for use in ledger.month.values())


def test_only_growth_counts() -> None:
    """Of each router by itself; a counter that fell began anew."""
    ledger = Ledger()
    for life, requests in [("a", 5), ("a", 5), ("b", 3), ("a", 7), ("b", 1), ("c", 0)]:
        ledger = ledger.looked(life, seen(requests), NOW)
    assert month(ledger) == 5 + 3 + 2 + 1
    assert ledger.of("app").spent == Decimal("0.11")
    assert ledger.of("nobody") == Usage()


def test_a_router_that_is_gone_is_forgotten_and_one_that_is_not_is_no_news() -> None:
    """Forgetting takes nothing away; a router that is kept is not counted twice."""
    ledger = Ledger().looked("a", seen(5), NOW).looked("b", seen(2), NOW).of_routers({"b"})
    assert set(ledger.counted) == {"b"}
    assert month(ledger.looked("b", seen(2), NOW)) == 7
    assert ledger.of_routers({"b", "c"}) is ledger
    assert ledger.looked("b", seen(2), NOW) is ledger, "nothing new, nothing to write"


@pytest.mark.parametrize(
    ("later", "today", "this_month"),
    [
        (timedelta(seconds=59), 5, 5),
        (timedelta(minutes=1), 0, 5),
        (timedelta(days=1, minutes=1), 0, 0),
        (timedelta(days=400), 0, 0),
        (-timedelta(days=40), 5, 5),
    ],
    ids=["the same day", "midnight", "the next month", "a year", "a clock that went back"],
)
def test_days_and_months_begin_with_nothing(later: timedelta, today: int, this_month: int) -> None:
    """In UTC."""
    ledger = Ledger().looked("a", seen(5), NOW).at(NOW + later)
    assert (sum(use.requests for use in ledger.today.values()), month(ledger)) == (today, this_month)
    assert month(ledger.looked("a", seen(6), NOW + later)) == this_month + 1


@pytest.mark.parametrize(
    ("began", "today", "this_month"),
    [
        ("2026-10-31T23:59", 0, 0),
        ("2026-11-28T23:59", 0, 5),
        ("2026-11-29T00:00", 5, 5),
        ("2027-01-01T00:00", 5, 5),
    ],
    ids=["last month", "yesterday", "today", "after the books"],
)
def test_books_that_begin_anew_take_only_what_is_surely_of_their_time(began: str, today: int, this_month: int) -> None:
    """What a router counted before: nobody is refused for what was used in another month. Then growth counts, of it
    and of those that begin later, whoever keeps the books.
    """
    start = datetime.fromisoformat(began).replace(tzinfo=UTC)
    ledger = Ledger().looked("a", seen(5), NOW, start)
    assert (sum(use.requests for use in ledger.today.values()), month(ledger)) == (today, this_month)
    ledger = load(dump(ledger)).looked("a", seen(6), NOW, start).looked("b", seen(2), NOW, NOW + timedelta(seconds=1))
    assert month(ledger) == this_month + 1 + 2


def test_an_old_router_that_is_found_late_is_not_new_to_lost_books() -> None:
    """It did not answer at the first look; the operator may have been another one since."""
    old = NOW - timedelta(days=60)
    ledger = load(dump(Ledger().looked("a", seen(1), NOW))).looked("b", seen(500), NOW + timedelta(hours=1), old)
    assert month(ledger) == 1
    assert month(ledger.looked("b", seen(501), NOW + timedelta(hours=1), old)) == 2


@pytest.mark.parametrize(
    ("now", "then"),
    [("2026-11-29T23:59", "2026-12-01"), ("2026-12-31T00:00", "2027-01-01"), ("2027-01-01", "2027-02-01")],
)
def test_months_follow_each_other(now: str, then: str) -> None:
    """December too."""
    assert next_month(datetime.fromisoformat(now).replace(tzinfo=UTC)).date() == date.fromisoformat(then)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("requests"), st.sampled_from("ab"), st.integers(1, 9)),
        st.tuples(st.just("look"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.just("router restarts"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.sampled_from(["keep", "operator restarts"]), st.just(""), st.just(0)),
    ),
    max_size=40,
)


@given(EVENTS)
def test_nothing_counts_twice_and_only_what_nobody_saw_is_lost(events: list[tuple[str, str, int]]) -> None:
    """Whatever restarts when: a router takes what it counted after the last look with it, an operator nothing."""
    ledger = kept = Ledger()
    lives, counts = {"a": 0, "b": 0}, {"a": 0, "b": 0}
    looked: dict[str, int] = {}
    asked = lost = 0
    for event, router, number in [*events, ("look", "a", 0), ("look", "b", 0)]:
        life = f"{router}/{lives.get(router)}"
        if event == "requests":
            counts[router], asked = counts[router] + number, asked + number
        elif event == "look":
            ledger = ledger.looked(life, seen(counts[router]), NOW)
            looked[life] = counts[router]
        elif event == "router restarts":
            # What an operator had seen and not kept yet is lost with a router that it outlives only in memory.
            in_books = ledger.counted.get(life, {}).get(APP, Use()).requests
            lost += counts[router] - in_books
            lives[router], counts[router] = lives[router] + 1, 0
            kept = ledger = ledger.of_routers({f"{r}/{n}" for r, n in lives.items()})
        elif event == "keep":
            kept = load(dump(ledger))
        else:
            ledger = kept
    assert month(ledger) == asked - lost
