"""Rollouts of a folder: what the next run goes on with."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.manifests import group, model, running, snapshot
from turnout.decide.build import decide
from turnout.local.clock import Clock
from turnout.local.home import Home
from turnout.local.rollouts import Rollouts

GROUP = group("assistant", model("one", "http://a/v1"), model("two", "http://b/v1"))


@pytest.mark.parametrize(("speed", "weight"), [(1, 20), (3600, 0)])
def test_a_run_goes_on_where_the_last_one_was_unless_time_is_made_up(tmp_path: Path, speed: float, weight: int) -> None:
    """One whose time passes faster begins anew: the last one's decisions lie in its future."""
    kept = running(20)
    Home(tmp_path).save_object("CanaryRollout", "r", {"name": "r"}, kept["spec"], kept["status"])
    rollouts = Rollouts(Home(tmp_path), Clock(speed))
    rollouts.follow(["r"])
    assert rollouts.publishable["r"].weight == weight


def test_a_fall_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When Envoy is told, as in the operator."""
    kept = running(20)
    Home(tmp_path).save_object("CanaryRollout", "r", {"name": "r"}, kept["spec"], kept["status"])
    rollouts = Rollouts(Home(tmp_path), Clock(1))
    rollouts.follow(["r"])
    with caplog.at_level(logging.INFO, "turnout"):
        for abort in (False, False, True):
            given = snapshot(GROUP, running(20, abort=abort))
            rollouts.advance(given, decide(given, None, now=datetime.now(UTC)), None, None)
            for _ in range(2):
                rollouts.published(rollouts.publishable)
                rollouts.kept(rollouts.tellable)
    assert [record.getMessage().split(":")[1] for record in caplog.records] == [" Restart", " Start", " Abort"]
