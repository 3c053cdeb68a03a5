"""How long it takes from `turnout run` to its first answer: the first time in a folder, and started again."""

import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from harness.background import Background
from harness.manifests import group, key
from harness.providers import Provider

RUNS = 5
TURNOUT = Path(sys.prefix) / "bin" / "turnout"


def first_answer(client: httpx.Client, folder: Path, port: int) -> float:
    """Seconds from the command to a whole answer from a provider."""
    command = [TURNOUT, "run", folder, "--plain", "--listen", f"127.0.0.1:{port}"]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        ready = next((line for line in process.stdout if line.startswith("ready ")), None)
        assert ready, process.stderr and process.stderr.read()
        settings = (folder / ".turnout" / "keys" / "demo.env").read_text().splitlines()
        token = dict(line.split("=", 1) for line in settings)["OPENAI_API_KEY"].strip("\"'")
        body = {"model": "assistant", "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"authorization": f"Bearer {token}"}
        answer = client.post(f"{ready.split()[1]}/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return time.monotonic() - started
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def main() -> None:
    """Measure and print."""
    background = Background()
    provider = Provider(background, "one")
    manifests = [group("assistant", provider.manifest), key("demo"), provider.secret]
    first, again = [], []
    with tempfile.TemporaryDirectory() as name, httpx.Client(verify=False) as client:
        folder = Path(name)
        (folder / "all.yaml").write_text("---\n".join(json.dumps(m) + "\n" for m in manifests))
        for _ in range(RUNS):
            shutil.rmtree(folder / ".turnout", ignore_errors=True)
            first.append(first_answer(client, folder, free_port()))
            again.append(first_answer(client, folder, free_port()))
    provider.kill()
    background.close()
    print("\nfrom `turnout run` to its first answer")
    for title, found in (("the first time", first), ("started again", again)):
        print(f"  {title:<16}{statistics.median(found):5.2f} s   ({min(found):.2f}–{max(found):.2f})")


if __name__ == "__main__":
    main()
