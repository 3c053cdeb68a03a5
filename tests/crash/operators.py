"""Operators that start at once and can be killed: forks of a process that has imported everything."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
NURSERY = """
import ctypes, datetime, json, os, signal, sys
import kubernetes.config.kube_config as kube_config
import turnout.cli.main, turnout.cli.operator, turnout.observe.watcher, turnout.watch.context, turnout.watch.loop
signal.signal(signal.SIGCHLD, signal.SIG_IGN)

class Clock(datetime.datetime):
    '''The time of day, and what the file says it is wrong by.'''
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=float(open(clock).read() or 0))

print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["env"])
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = os.environ["KUBECONFIG"]  # it was read when this was imported
    clock = order["clock"]
    # Looks come sooner than in life, where nobody waits for them.
    turnout.decide.rotation.LOOK = datetime.timedelta(seconds=0.25)
    turnout.decide.rotation.LOOK_AT_DRAINING = datetime.timedelta(seconds=0.5)
    turnout.watch.context.datetime = turnout.observe.watcher.datetime = Clock
    sys.argv = ["turnout", "operator"]
    turnout.cli.main.turnout()
"""


class Nursery:
    """Starts operators. They see the network of the thread that made it, and end with that thread."""

    def __init__(self) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", NURSERY],
            stdin=pipe,
            stdout=pipe,
            text=True,
            env=env,
        )
        self._hear("ready")

    def start(self, env: Mapping[str, str], *, log: Path, clock: Path) -> int:
        """Start one; its process id. clock: a file with the seconds by which its time of day is wrong."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"env": dict(env), "log": str(log), "clock": str(clock)}) + "\n")
        self._process.stdin.flush()
        return int(self._hear())

    def stop(self) -> None:
        """End, and all that it started."""
        self._process.kill()
        self._process.wait(10)

    def _hear(self, word: str = "") -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the operators' parent ended"
        assert not word or line == word, line
        return line


def kill(pid: int) -> None:
    """End a process as a crash does, and return when it runs no more."""
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        os.sched_yield()
