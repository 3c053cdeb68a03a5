"""Runs that fail: how soon they are repeated, and what a person reads of them."""

import logging
from types import SimpleNamespace
from typing import cast

import pytest

from turnout.errors import ClusterError, DeniedError
from turnout.observe.metrics import Metrics
from turnout.watch.context import Context
from turnout.watch.failures import RETRY_AT_MOST_S, Failures


@pytest.fixture
def failures() -> Failures:
    """Of a namespace that was well until now."""
    return Failures(cast("Context", SimpleNamespace(metrics=Metrics())), "ai")


def test_it_is_tried_again_after_longer_and_longer(failures: Failures) -> None:
    """And at once after the next failure, once it was well."""
    waits = [failures.note(ClusterError("500")) for _ in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, *[RETRY_AT_MOST_S] * 3]
    failures.end()
    assert failures.note(ClusterError("500")) == 1


def test_a_single_failure_is_nothing_to_read(failures: Failures) -> None:
    """Else a thousand statuses are written for it, and again a second later. A refusal lasts."""
    failures.note(ClusterError("500"))
    assert failures.words(ClusterError("500")) == ""
    assert failures.words(DeniedError("403: no")) == "403: no"
    failures.note(ClusterError("500"))
    assert failures.words(ClusterError("500")) == "500"


def test_a_bug_is_told_in_the_log(failures: Failures, caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback; a status does not quote it."""
    for _ in range(2):
        failures.note(KeyError("sk-turnout-x"))
    assert failures.words(KeyError("sk-turnout-x")) == "a bug; see the operator's log"
    assert [(r.levelno, r.exc_info is not None) for r in caplog.records] == [(logging.ERROR, True)] * 2
