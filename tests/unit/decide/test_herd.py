"""Keys that are overdue together: how they are spread, and that none is kept from rotating."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from harness.manifests import key
from turnout.api import ScopedKey
from turnout.decide.herd import AT_LEAST, Herd
from turnout.decide.issued import Issued, Token
from turnout.decide.rotation import is_due

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def old(every: str, name: str = "k", **rotation: str) -> tuple[ScopedKey, Issued]:
    """A key that is long overdue."""
    token = Token(name, SecretStr("sk-turnout-x"), NOW - timedelta(days=900))
    return ScopedKey.parse(key(name, rotation={"every": every, **rotation})), Issued((token,))


def rotated(keys: dict[str, tuple[ScopedKey, Issued]], minutes: int) -> list[dict[str, int]]:
    """By minute, how often each began. It is looked at every ten seconds; a rotation is over at the next look."""
    counts: list[dict[str, int]] = []
    for look in range(6 * minutes):
        now = NOW + look * 10 * SECOND
        if look % 6 == 0:
            counts.append({})
        herd = Herd(keys.values(), now=now)
        for name, (scoped, issued) in keys.items():
            if is_due(scoped, issued, now=now) and herd.takes(scoped, issued):
                newer = replace(issued.tokens[0], id=f"{name}-{look}", issued_at=now)
                keys[name] = (scoped, Issued((newer,)))
                counts[-1][name] = counts[-1].get(name, 0) + 1
    return counts


def test_a_thousand_keys_that_are_overdue_together_are_spread() -> None:
    """`rotation.every` was added to all of them by one commit. In an hour all have a new token, no minute many."""
    counts = rotated({f"k{n}": old("30d", f"k{n}") for n in range(1000)}, 60)
    by_minute = [sum(minute.values()) for minute in counts]
    assert max(by_minute) <= 2 * AT_LEAST
    assert sum(by_minute) == 1000


def test_keys_that_rotate_often_are_not_slowed_down_and_slow_nobody_down() -> None:
    """A thousand every ten minutes, and after an hour each has done so; one of thirty days among them is not kept."""
    keys = {f"k{n}": old("10m", f"k{n}") for n in range(1000)}
    counts = rotated({**keys, "slow": old("30d", "slow")}, 32)
    assert min(sum(minute.get(name, 0) for minute in counts) for name in keys) >= 3
    assert any("slow" in minute for minute in counts[:2])


@pytest.mark.parametrize(("days", "begins"), [(22, False), (28, True), (60, True)])
def test_a_key_whose_token_is_dead_or_soon_will_be_waits_for_no_other(days: int, begins: bool) -> None:
    """A lifetime was given to old keys, or the operator was away for long: programs have nothing that works."""
    scoped, _ = old("30d")
    mortal = ScopedKey.parse(key("k", lifetime="30d"))
    fresh = Issued((Token("new", SecretStr("sk-turnout-x"), NOW),))
    herd = Herd([(scoped, fresh)] * AT_LEAST, now=NOW)
    token = Token("k", SecretStr("sk-turnout-x"), NOW - timedelta(days=days))
    assert herd.takes(mortal, Issued((token,))) is begins


def test_new_keys_keep_no_old_one_from_rotating() -> None:
    """A pipeline that makes many keys a minute."""
    fresh = Issued((Token("new", SecretStr("sk-turnout-x"), NOW),))
    made = key("k", rotation={"every": "30d"})
    made["metadata"]["creationTimestamp"] = "2026-11-20T00:00:00Z"
    herd = Herd([(ScopedKey.parse(made), fresh)] * AT_LEAST, now=NOW + SECOND)
    assert herd.takes(*old("30d"))


@pytest.mark.parametrize(("trigger", "begins"), [({}, False), ({"trigger": "now"}, True)])
def test_what_a_trigger_asks_for_waits_for_no_other(trigger: dict[str, str], begins: bool) -> None:
    """Somebody has asked for it now."""
    fresh = Issued((Token("new", SecretStr("sk-turnout-x"), NOW),))
    herd = Herd([(old("30d")[0], fresh)] * AT_LEAST, now=NOW + SECOND)
    assert herd.takes(*old("30d", "k", **trigger)) is begins
