"""When a token was used last, as its status says it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from harness.manifests import group, key, model, snapshot
from turnout.decide.build import decide
from turnout.decide.facts import Uses
from turnout.infra.key_status import token_statuses

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
