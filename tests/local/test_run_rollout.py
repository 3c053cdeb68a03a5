"""`turnout run`: rollouts by the same engine, from files, without a cluster; and a day of one in seconds."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from harness.router import eventually

MAKE_BELIEVE = ".turnout-speed"
ROLLOUT = """\
apiVersion: turnout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: to-second}
spec:
  modelGroup: assistant
  model: second
  steps: [{weight: 20, hold: %(hold)s}, {weight: 60, hold: %(hold)s}, {weight: 100}]
  gates: {errorRate: {maxIncrease: "0.05"}, minRequests: 10}
  %(more)s
"""


def write(laptop, hold: str = "2s", more: str = "") -> None:
    """Write the rollout."""
    laptop.write("rollout.yaml", ROLLOUT % {"hold": hold, "more": more})


def status(laptop, home: str = ".turnout") -> dict[str, Any]:
    """Its status."""
    file = laptop.folder / home / "status" / "canaryrollouts" / "to-second.yaml"
    return dict(yaml.safe_load(file.read_text())["status"]) if file.exists() else {"phase": ""}


def phase(laptop, home: str = ".turnout") -> tuple[str, int]:
    """Its phase and weight."""
    found = status(laptop, home)
    return found["phase"], found.get("weight", {}).get("desired", 0)


class Program:
    """Calls without pause, by three threads.

    Attributes:
        answered: which models answered, or what became of a call that failed.
    """

    def __init__(self, laptop) -> None:
        self.answered: list[str] = []
        self._laptop, self._over = laptop, threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(3)]

    def start(self) -> list[str]:
        """Begin, once the laptop serves."""
        for thread in self._threads:
            thread.start()
        return self.answered

    def end(self) -> None:
        """Wait for the last call. `turnout run` waits at its end, too, for as long as there are always some."""
        self._over.set()
        for thread in self._threads:
            if thread.ident:
                thread.join()

    def _call(self) -> None:
        while not self._over.is_set():
            try:
                self.answered.append(self._laptop.ask()[1])
            except Exception as error:  # noqa: BLE001  whatever it is, it is a failed call
                self.answered.append(f"{type(error).__name__}: {error}")


@pytest.fixture
def program(laptop) -> Iterator[Program]:
    """One that has not begun."""
    made = Program(laptop)
    yield made
    made.end()


def test_a_good_canary_is_promoted_and_adopted(laptop, program) -> None:
    """By editing the group's file."""
    write(laptop)
    laptop.start()
    answered = program.start()
    eventually(lambda: phase(laptop) == ("Promoted", 100), within=60)
    assert set(answered) == {"first", "second"}
    laptop.said("to-second: Promote")
    actions = [d["action"] for d in reversed(status(laptop)["decisions"]) if d["action"] != "Hold"]
    assert actions == ["Start", "Advance", "Advance", "Promote"]


def test_a_bad_canary_goes_back_and_stays_back_over_a_restart(laptop, program) -> None:
    """No call fails, and the same spec is not tried again."""
    write(laptop, hold="1h")
    laptop.start()
    laptop.tell("second", "500")
    answered = program.start()
    eventually(lambda: phase(laptop) == ("RolledBack", 0), within=60)
    assert set(answered) == {"first"}
    laptop.said("to-second: Rollback")
    program.end()
    assert laptop.stop() == 0
    laptop.start()
    assert phase(laptop) == ("RolledBack", 0)


def test_a_restart_goes_on_where_it_was(laptop, program) -> None:
    """Neither a step again nor one left out."""
    write(laptop, hold="1h")
    laptop.start()
    program.start()
    eventually(lambda: "observed" in status(laptop).get("weight", {}), within=30)
    program.end()
    before = status(laptop)
    assert laptop.stop() == 0
    laptop.start()
    eventually(lambda: status(laptop)["weight"].get("applied") == 20, within=30)
    after = status(laptop)
    assert (after["step"], after["memory"]["run"]) == (1, before["memory"]["run"])
    assert [d["action"] for d in after["decisions"]] == ["Start"]


def test_a_person_pauses_aborts_and_goes_on_by_editing_the_file(laptop, program) -> None:
    """Weights follow within a second or two; what was left begins anew."""
    write(laptop, hold="1h")
    laptop.start()
    program.start()
    eventually(lambda: phase(laptop) == ("Progressing", 20), within=30)
    for more, wanted in (
        ("paused: true", ("Paused", 20)),
        ("abort: true", ("Aborted", 0)),
        ("", ("Progressing", 20)),
        ("promote: true", ("Promoted", 100)),
    ):
        write(laptop, hold="1h", more=more)
        eventually(lambda wanted=wanted: phase(laptop) == wanted, within=30)
    actions = [d["action"] for d in reversed(status(laptop)["decisions"]) if d["action"] != "Hold"]
    assert actions == ["Start", "Pause", "Abort", "Resume", "Promote", "Promote"]


def test_mistakes_are_told_at_their_line_and_nothing_moves(laptop) -> None:
    """A model that the group does not have; the group's primary; a word that there is not."""
    write(laptop)
    laptop.start()
    good = (laptop.folder / "rollout.yaml").read_text()
    for wrong, words in (
        (good.replace("model: second", "model: third"), "has no model 'third'"),
        (good.replace("model: second", "model: first"), "is the primary of ModelGroup 'assistant' already"),
        (good.replace("minRequests", "minimumRequests"), "minimumRequests"),
    ):
        laptop.write("rollout.yaml", wrong)
        assert "rollout.yaml:" in laptop.said(words)


def test_hours_pass_in_seconds_with_fake_providers(laptop) -> None:
    """Nobody calls but Turnout itself, which says so; never with real providers. What came of it is of no effect on a
    real run.
    """
    write(laptop, hold="3h")
    assert laptop.spawn("--speed", "3600").wait(20) == 2
    laptop.start("--speed", "1800")
    laptop.said("time passes 1800 times as fast for rollouts, and requests are made up")
    eventually(lambda: phase(laptop, MAKE_BELIEVE) == ("Promoted", 100), within=60)
    assert not laptop.home.exists()
    assert laptop.stop() == 0
    laptop.start()
    eventually(lambda: phase(laptop) == ("Progressing", 20), within=30)
    assert [d["action"] for d in status(laptop)["decisions"]] == ["Start"]
