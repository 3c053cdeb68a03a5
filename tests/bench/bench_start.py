"""How long from typing `turnout run` to the first answer, with fake providers on the same machine.

.venv/bin/python tests/bench/bench_start.py [ROUNDS]
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from turnout.local.envoy import free_port

ROOT = Path(__file__).parents[2]
TURNOUT = Path(sys.prefix) / "bin" / "turnout"
QUICKSTART = ROOT / "manifests" / "samples" / "quickstart"
FAKE_PORTS = ("9001", "9002", "9003")


def main(rounds: int) -> None:
    """Print each round and the median: ready, first answer, end after Ctrl-C, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        results = [one_round(copy_of_quickstart(Path(folder) / str(number))) for number in range(rounds)]
    for name, values in zip(("ready", "first answer", "ended"), zip(*results, strict=True), strict=True):
        print(f"{name:>14}: median {median(values):.2f} s of {', '.join(f'{v:.2f}' for v in values)}")
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def copy_of_quickstart(folder: Path) -> Path:
    """The quickstart on free ports, never served before."""
    folder.mkdir()
    for path in QUICKSTART.glob("*.yaml"):
        text = path.read_text()
        for port in FAKE_PORTS:
            text = text.replace(f":{port}/", f":{free_port()}/")
        (folder / path.name).write_text(text)
    return folder


def one_round(folder: Path) -> tuple[float, float, float]:
    """Start, ask once, end."""
    command = [TURNOUT, "run", folder, "--fake-providers", "--plain", "--listen", f"127.0.0.1:{free_port()}"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ready "), line
    ready = time.monotonic() - start
    ask(dict(line.split("=", 1) for line in (folder / ".turnout/keys/demo.env").read_text().splitlines()))
    answered = time.monotonic() - start
    process.send_signal(signal.SIGINT)
    process.communicate()
    return ready, answered, time.monotonic() - start - answered


def ask(env: dict[str, str]) -> None:
    """One token from the group."""
    body = {"model": "assistant", "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        f"{env['OPENAI_BASE_URL']}/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {env['OPENAI_API_KEY']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
