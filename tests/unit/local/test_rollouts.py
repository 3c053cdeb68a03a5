"""Rollouts of a folder: what the next run goes on with."""

from pathlib import Path

import pytest

from harness.manifests import running
from turnout.local.clock import Clock
from turnout.local.home import Home
from turnout.local.rollouts import Rollouts


@pytest.mark.parametrize(("speed", "weight"), [(1, 20), (3600, 0)])
def test_a_run_goes_on_where_the_last_one_was_unless_time_is_made_up(tmp_path: Path, speed: float, weight: int) -> None:
    """One whose time passes faster begins anew: the last one's decisions lie in its future."""
    kept = running(20)
    Home(tmp_path).save_object("CanaryRollout", "r", {"name": "r"}, kept["spec"], kept["status"])
    rollouts = Rollouts(Home(tmp_path), Clock(speed))
    rollouts.follow(["r"])
    assert rollouts.publishable["r"].weight == weight
