"""When the operator counts as stuck, and what its logs hide."""

import json
import logging

import httpx
import pytest

from turnout.observe import health
from turnout.observe.health import LISTING, Health
from turnout.observe.logs import JsonLines
from turnout.observe.metrics import Metrics


class Clock:
    """Seconds as the test says."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_only_work_that_waits_while_nothing_is_finished_is_stuck() -> None:
    """An idle operator is healthy for ever; so is one that finishes other work meanwhile."""
    clock = Clock()
    state = Health(60, clock)
    clock.now = 1000
    assert not state.stuck
    state.begin("ai")
    clock.now = 1050
    assert not state.stuck
    clock.now = 1061
    assert state.stuck
    state.done("other")
    assert not state.stuck
    clock.now = 1200
    assert state.stuck
    state.forget("ai")
    assert not state.stuck


async def test_healthz_and_metrics_are_served(unused_tcp_port: int) -> None:
    """200 while it works, 503 when it is stuck, and the operator's own metrics."""
    clock = Clock()
    state = Health(60, clock)
    runner = await health.serve(unused_tcp_port, state, Metrics())
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}", trust_env=False) as http:
            assert (await http.get("/healthz")).status_code == 200
            assert "turnout_api_writes_total" in (await http.get("/metrics")).text
            state.begin("ai")
            clock.now = 100
            assert (await http.get("/healthz")).status_code == 503
    finally:
        await runner.cleanup()


def test_it_is_ready_once_everything_was_listed() -> None:
    """Before, it may lack rights or definitions; a finished run of one namespace says nothing about that."""
    health = Health(10, lambda: 0.0)
    health.done("ai")
    assert not health.ready
    health.done(LISTING)
    assert health.ready


def test_a_log_line_is_json_without_tokens(caplog: pytest.LogCaptureFixture) -> None:
    """Also in a traceback."""
    try:
        raise ValueError("bad sk-turnout-abc")
    except ValueError:
        logging.getLogger("turnout.test").exception("it failed with %s", "Bearer abc")
    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert line["message"] == "it failed with ***"
    assert "ValueError: bad ***" in line["traceback"]
    assert "abc" not in json.dumps(line).replace("abc.py", "")
