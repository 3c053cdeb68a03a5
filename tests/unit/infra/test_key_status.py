"""When a token was used last, as its status says it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from harness.manifests import group, key, model, snapshot
from turnout.api.scopedkey import TokenState
from turnout.decide.build import decide
from turnout.decide.facts import Uses
from turnout.decide.issued import Issued, Token
from turnout.infra.key_status import rotation_conditions, token_statuses

NOW = datetime(2026, 11, 27, 12, 30, 7, tzinfo=UTC)
[STATE] = decide(snapshot(group("assistant", model("a", "http://a/v1")), key("app")), None, now=NOW).keys
ID = "id-app"


def used(last: datetime | None, old: dict[str, Any] | None = None) -> dict[str, Any]:
    """The status, if the token was seen to be used then."""
    return token_statuses(STATE, Uses({ID: last} if last else {}), old or {})


def test_last_use_is_told_to_the_minute_so_its_status_changes_once_a_minute_at_most() -> None:
    """However often routers are looked at."""
    said = {str(used(NOW + timedelta(seconds=s))) for s in range(0, 50, 5)}
    assert len(said) == 1
    assert used(NOW)["tokens"][0]["lastUsedAt"] == "2026-11-27T12:30:00Z"
    assert used(NOW + timedelta(seconds=53))["tokens"][0]["lastUsedAt"] == "2026-11-27T12:31:00Z"


def test_a_new_operator_keeps_what_was_said_until_it_sees_something_newer() -> None:
    """And a token that nobody ever used says nothing."""
    assert "lastUsedAt" not in used(None)["tokens"][0]
    assert used(None, used(NOW))["tokens"][0]["lastUsedAt"] == "2026-11-27T12:30:00Z"
    earlier = NOW - timedelta(minutes=1)
    assert used(earlier, used(NOW))["tokens"][0]["lastUsedAt"] == "2026-11-27T12:30:00Z"


def test_an_old_token_that_is_still_used_says_by_how_many_and_when_last() -> None:
    """Since it is old, not since the router began."""
    began, last = NOW - timedelta(minutes=30), NOW - timedelta(seconds=20)
    old = Token("old", SecretStr("sk-turnout-old"), NOW - timedelta(days=9), state=TokenState.DRAINING, since=began)
    scoped = key("app", rotation={"trigger": "x", "overlap": {"min": "1m", "max": "10m"}})
    given = replace(snapshot(group("assistant", model("a", "http://a/v1")), scoped), issued={"app": Issued((old,))})
    [state] = decide(given, None, now=NOW).keys
    requests = {began - timedelta(minutes=5): 1_000_000, began.replace(second=0): 3, last.replace(second=0): 4}
    [condition] = rotation_conditions(state, "", Uses({"old": last}, {"old": requests}, (began, NOW)), NOW)
    seen = "Token old: 7 requests seen since 2026-11-27T12:00:07Z, the last at 2026-11-27T12:29:47Z."
    assert condition.type == "OldTokenStillUsed"
    assert condition.message == f"It is not revoked while it is used. {seen}"
