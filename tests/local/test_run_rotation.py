"""`turnout run`: keys that rotate, on their own and by `turnout keys`, under a program that calls without pause."""

import base64
import contextlib
import json
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from harness.router import eventually

TURNOUT = Path(sys.prefix) / "bin" / "turnout"
ROTATES = """\
apiVersion: turnout.dev/v1alpha1
kind: ScopedKey
metadata: {name: app}   # what may call
spec:
  scopes: ["*"]
  modelGroups: ["*"]
  rotation: {trigger: "first", overlap: {min: 2s, max: 1m}}
"""


class Program:
    """Calls without pause with what the .env file says; errors: what it raised."""

    def __init__(self, laptop: Any) -> None:
        self.calls, self.errors = 0, list[str]()
        self._laptop, self._over = laptop, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Program":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._laptop.ask()
                self.calls += 1
            except openai.OpenAIError as error:
                self.errors.append(f"{type(error).__name__}: {error}")


def keys(laptop: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`turnout keys` on its folder."""
    command = [TURNOUT, "keys", *arguments, laptop.folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def token(laptop: Any) -> str:
    """What programs have."""
    return str(laptop.env()["OPENAI_API_KEY"])


def answer(laptop: Any, held: str) -> int:
    """What the router says to a token."""
    url = f"http://127.0.0.1:{laptop.port}/v1/auth/verify"
    return httpx.get(url, headers={"authorization": f"Bearer {held}"}).status_code


def states(laptop: Any) -> list[str]:
    """Of its tokens, newest first, as status has them."""
    found = yaml.safe_load((laptop.home / "status" / "scopedkeys" / "app.yaml").read_text())
    return [entry["state"] for entry in found["status"]["tokens"]]


def test_rotations_cost_no_request(laptop) -> None:
    """Three by `turnout keys rotate`: the file's comments stay, the old token drains and dies, no call fails."""
    laptop.write("key.yaml", ROTATES)
    laptop.start()
    with Program(laptop) as program:
        for _ in range(3):
            old = token(laptop)
            told = keys(laptop, "rotate", "app")
            assert told.returncode == 0, told.stderr
            assert "`turnout run` takes it up now" in told.stdout
            eventually(lambda old=old: token(laptop) != old)
            assert answer(laptop, old) == 200, "it drains"
            eventually(lambda old=old: answer(laptop, old) == 401, within=20)
        eventually(lambda: states(laptop) == ["Active"])
    assert program.errors == []
    assert program.calls > 10
    written = (laptop.folder / "key.yaml").read_text()
    assert re.sub('trigger: "[^"]*"', 'trigger: "first"', written) == ROTATES
    env = laptop.home / "keys" / "app.env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600


def test_a_leaked_key_is_dead_at_once_and_a_revoked_one_too(laptop) -> None:
    """Within seconds of the command's end; the one gets a new token, the other none."""
    laptop.write("key.yaml", ROTATES)
    laptop.start()
    leaked = token(laptop)

    def fresh() -> str | None:
        with contextlib.suppress(FileNotFoundError):  # the file is gone while there is no token that works
            return found if (found := token(laptop)) != leaked else None
        return None

    assert keys(laptop, "rotate", "app", "--emergency").returncode == 0
    eventually(lambda: answer(laptop, leaked) == 401)
    new = eventually(fresh)
    assert answer(laptop, new) == 200
    laptop.said("key app: emergency rotation to token ")
    row = re.compile(r"^app +Active +[0-9a-f]{8} Active ", re.MULTILINE)
    eventually(lambda: row.search(keys(laptop, "list").stdout))
    assert keys(laptop, "revoke", "app").returncode == 0
    eventually(lambda: answer(laptop, new) == 401)
    refused = keys(laptop, "rotate", "app")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "is revoked" in refused.stderr
    unknown = keys(laptop, "rotate", "ap")
    assert (unknown.returncode, "did you mean" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3, 0.8])
def test_a_rotation_outlives_a_kill(laptop, after_s: float) -> None:
    """Killed so soon after it was asked for, and started again: it is done, and the token in the file is good."""
    laptop.write("key.yaml", ROTATES)
    laptop.start()
    old = token(laptop)
    laptop.write("key.yaml", ROTATES.replace("first", "second"))
    time.sleep(after_s)
    laptop.stop(signal.SIGKILL)
    eventually(lambda: not laptop.envoys())
    laptop.start()
    assert answer(laptop, token(laptop)) == 200
    eventually(lambda: token(laptop) != old, within=20)
    eventually(lambda: answer(laptop, old) == 401, within=20)
    eventually(lambda: states(laptop) == ["Active"])
    assert answer(laptop, token(laptop)) == 200


def test_time_rotates_a_key(laptop) -> None:
    """A token whose lifetime is two thirds over is replaced by itself; what was kept of it is made older for that."""
    laptop.write("key.yaml", ROTATES.replace('rotation: {trigger: "first", ', "lifetime: 3h\n  rotation: {every: 1h, "))
    laptop.start()
    old = token(laptop)
    time.sleep(1.5)
    assert token(laptop) == old
    laptop.stop()
    age_tokens(laptop, timedelta(hours=2))
    laptop.start()
    eventually(lambda: token(laptop) != old, within=20)
    eventually(lambda: answer(laptop, old) == 401, within=20)


def age_tokens(laptop: Any, by: timedelta) -> None:
    """What is kept says that every token was issued earlier."""
    file = laptop.home / "keyring.json"
    kept = json.loads(file.read_text())
    for name, data in kept["data"].items():
        entry = json.loads(base64.b64decode(data))
        for one in entry["tokens"]:
            one["issued_at"] = (datetime.now(UTC) - by).isoformat()
        kept["data"][name] = base64.b64encode(json.dumps(entry).encode()).decode()
    file.write_text(json.dumps(kept))
