"""Pods, redaction and settings."""

from datetime import UTC, datetime
from typing import Any

import pytest

from turnout.errors import UsageError
from turnout.infra.observation import ConfigState
from turnout.infra.pods import live_pods, ready_pods
from turnout.infra.redaction import redacted
from turnout.settings import Settings, read_settings

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def pod(
    name: str = "r", *, ready: str = "True", ip: str | None = "10.0.0.1", phase: str = "Running", **meta: Any
) -> dict[str, Any]:
    """A router pod as the API server shows it."""
    return {
        "metadata": {"namespace": "ai", "name": name, "uid": name, **meta},
        "status": {
            "phase": phase,
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "router", "restartCount": 2}],
        },
    }


def test_only_pods_that_take_traffic_are_asked() -> None:
    """Ready, with an address, and not on their way out."""
    pods = [pod("b"), pod("a"), pod("x", ready="False"), pod("y", ip=None), pod("z", deletionTimestamp="now")]
    found = ready_pods(pods)
    assert [p.name for p in found] == ["a", "b"]
    assert found[0].life == "a/2"


def test_a_router_began_when_its_container_was_started() -> None:
    """Again after a restart; before that is known, not before its pod was made."""
    made, started = "2026-11-20T00:00:00Z", "2026-11-27T12:00:00Z"
    young, old = pod(creationTimestamp=made), pod(creationTimestamp=made)
    old["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": started}}
    found = [router.began for one in (young, old, pod()) for router in ready_pods([one])]
    assert found == [datetime.fromisoformat(made), datetime.fromisoformat(started), None]


def test_what_a_mesh_puts_beside_a_router_is_no_part_of_its_life() -> None:
    """Its restart does not put Envoy's counters back to zero: all that keys used would be counted again."""
    meshed = pod()
    beside = {"name": "mesh", "restartCount": 5, "state": {"running": {"startedAt": "2026-11-27T12:00:00Z"}}}
    meshed["status"]["containerStatuses"].insert(0, beside)
    (router,) = ready_pods([meshed])
    assert (router.life, router.began) == ("r/2", None)


def test_pods_are_looked_at_until_they_can_answer_no_more() -> None:
    """Those that end what they have begun, too; one that was evicted keeps its address, and one on a dead node all."""
    pods = [
        pod("unready", ready="False"),
        pod("evicted", ready="False", phase="Failed"),
        pod("ended", ready="False", phase="Succeeded"),
        pod("leaving", deletionTimestamp="2026-11-29T12:01:00Z"),
        pod("late", deletionTimestamp="2026-11-29T11:59:30Z"),
        pod("lost", deletionTimestamp="2026-11-29T11:58:30Z"),
    ]
    found = live_pods(pods, now=NOW)
    assert [(p.name, p.leaving) for p in found] == [("late", True), ("leaving", True), ("unready", False)]


def test_a_version_runs_only_if_all_files_are_of_it() -> None:
    """Three of four is not there yet."""
    names = ["cds", "rds", "keys", "front"]
    assert ConfigState(dict.fromkeys(names, "v"), {}).runs("v")
    assert not ConfigState({**dict.fromkeys(names, "v"), "rds": "u"}, {}).runs("v")
    assert not ConfigState(dict.fromkeys(names[1:], "v"), {}).runs("v")


def test_a_refusal_counts_only_if_it_is_new() -> None:
    """What was refused before this version is no verdict on it."""
    state = ConfigState({"cds": "v", "front": "u"}, {"cds": 3, "front": 1})
    assert state.rejects("v", {"cds": 0})
    assert not state.rejects("v", {"front": 1})


def test_secrets_are_hidden_in_whatever_quotes_them() -> None:
    """Known secrets by their text, the longest first; unknown ones by their looks."""
    text = redacted("key abc-123-long and abc-123, bearer xyz, sk-turnout-foo", ["abc-123", "abc-123-long"])
    assert text == "key *** and ***, ***, ***"


def test_settings_come_from_the_environment() -> None:
    """Names, nested router options, and empty values as unset."""
    found = read_settings(
        {"TURNOUT_NAMESPACE": "ai", "TURNOUT_RESYNC_S": "", "TURNOUT_ROUTER_REPLICAS": "3", "HOME": "/"}
    )
    assert (found.namespace, found.router.replicas, found.resync_s) == ("ai", 3, Settings().resync_s)


@pytest.mark.parametrize(
    ("value", "service"),
    [("ratelimit.limits.svc:8081", ("ratelimit.limits.svc", 8081)), ("[fd00::1]:8081", ("fd00::1", 8081)), ("", None)],
)
def test_a_rate_limit_service_is_a_host_and_a_port(value: str, service: tuple[str, int] | None) -> None:
    """A name or an address, or none."""
    assert read_settings({"TURNOUT_RATE_LIMIT_SERVICE": value}).rate_limit_service == service


@pytest.mark.parametrize(("value", "on"), [("true", True), ("false", False), ("", False)])
def test_the_access_log_is_off_unless_it_is_asked_for(value: str, on: bool) -> None:
    """By a word that says so, as people write it into a ConfigMap."""
    assert read_settings({"TURNOUT_ROUTER_ACCESS_LOG": value}).router.access_log is on


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("TURNOUT_PORT", "http"), ("TURNOUT_ROUTER_REPLICAS", "0"), ("TURNOUT_ROUTER_CPU", "a bit")),
        ("TURNOUT_NO", "1"),
        *(("TURNOUT_RATE_LIMIT_SERVICE", value) for value in ("ratelimit", ":8081", "a:0", "a:65536", "http://a:1")),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    """One line that names the variable."""
    with pytest.raises(UsageError, match=name):
        read_settings({name: value})
