"""The live view, on a terminal of its own."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SIZE = struct.pack("HHHH", 40, 120, 0, 0)
STYLE = rb"(?:\x1b\[[0-9;?]*[A-Za-z])*"
"""Colours and movements, which may stand between any two letters."""


class Terminal:
    """A terminal with `turnout run` on it. It reads all the time, as terminals do: one that nobody reads takes a few
    KB, and then holds up whoever writes to it, the fake providers too.
    """

    def __init__(self, command: list[object]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        env = {**os.environ, "FIRST_KEY": "credential-one", "TERM": "xterm"}
        self.process = subprocess.Popen(
            [str(c) for c in command], stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        self._shown, self._at = b"", 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nobody is left who could write
            while new := os.read(self._ours, 65536):
                self._shown += new

    def shows(self, words: str, *, within: float = 20.0) -> None:
        """Wait until the words are shown, after those that were waited for last."""
        pattern = re.compile(STYLE.join(re.escape(letter.encode()) for letter in words))
        deadline = time.monotonic() + within
        while not (found := pattern.search(self._shown, self._at)):
            assert time.monotonic() < deadline, f"no {words!r} in {self._shown[self._at :][-6000:]!r}"
            time.sleep(0.02)
        self._at = found.end()

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    def settings(self) -> list[object]:
        """How the terminal is set."""
        return termios.tcgetattr(self._theirs)

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._theirs)
        self._reader.join(10)
        os.close(self._ours)


@pytest.fixture
def terminal(laptop) -> Iterator[Terminal]:
    """`turnout run --fake-providers` on a terminal."""
    turnout = Path(sys.prefix) / "bin" / "turnout"
    one = Terminal([turnout, "run", laptop.folder, "--listen", f"127.0.0.1:{laptop.port}", "--fake-providers"])
    yield one
    one.close()


def test_it_shows_what_happens_and_obeys_keys(laptop, terminal: Terminal) -> None:
    """Ready, then groups and models; `k` takes the primary down, `1` brings it back; `q` leaves all in order."""
    terminal.shows(f"ready http://127.0.0.1:{laptop.port}/v1")
    terminal.shows("curl -i")
    terminal.shows("quit")
    assert laptop.ask()[1] == "first"
    terminal.shows("assistant: 1 requests, 0 errors")
    terminal.press("k")
    terminal.shows("first: you took it down")
    assert {laptop.ask()[1] for _ in range(4)} == {"second"}
    terminal.shows("first: circuit Open")
    terminal.shows(" 0 % ")
    terminal.shows("bring back first")
    terminal.press("1")
    terminal.shows("first: you brought it back")
    terminal.press("q")
    assert terminal.process.wait(10) == 0
    assert terminal.settings() == terminal.before
    assert laptop.envoys() == []


def test_it_shows_how_a_rollout_goes(laptop, terminal: Terminal) -> None:
    """Where it is, what was counted for both arms, and each gate with its bounds."""
    terminal.shows("quit")
    steps = "[{weight: 50, hold: 1h}, {weight: 100}]"
    laptop.write(
        "rollout.yaml",
        "apiVersion: turnout.dev/v1alpha1\nkind: CanaryRollout\nmetadata: {name: to-second}\n"
        f"spec: {{modelGroup: assistant, model: second, steps: {steps}}}\n",
    )
    terminal.shows("step 1 of 2, 50 % wanted")
    for _ in range(12):
        laptop.ask()
    terminal.shows("% seen (")
    terminal.shows("ErrorRate")
    terminal.press("q")
    assert terminal.process.wait(10) == 0


def test_it_shows_mistakes(laptop, terminal: Terminal) -> None:
    """A broken edit is a red line and a count that stays until it is mended."""
    terminal.shows("quit")
    good = (laptop.folder / "key.yaml").read_text()
    laptop.write("key.yaml", good.replace("spec: {", "spec: {scoops: 1, "))
    terminal.shows("1 mistake in")
    laptop.write("key.yaml", good)
    terminal.shows("no mistakes left")


def test_ctrl_c_ends_it(laptop, terminal: Terminal) -> None:
    """As a person presses it; the terminal is as it was."""
    terminal.shows("quit")
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.process.wait(10) == 0
    assert terminal.settings() == terminal.before
    assert laptop.envoys() == []
