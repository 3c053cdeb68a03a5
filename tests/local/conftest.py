"""`turnout run` as people start it: a process of its own, with the real Envoy, on free ports, in its own folder."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from harness.ports import free_ports
from harness.router import eventually

TURNOUT = Path(sys.prefix) / "bin" / "turnout"
START_S = 30.0
"""Seconds within which it must serve; it takes one, but a busy machine may take longer."""

GROUP = """\
apiVersion: turnout.dev/v1alpha1
kind: ModelGroup
metadata: {name: assistant}
spec:
  models:
    - name: first
      endpoint: {baseURL: "http://127.0.0.1:%(first)d/v1", apiKeySecretRef: {name: first, key: api-key}}
      price: {input: "1", output: "2"}
    - name: second
      endpoint: {baseURL: "http://127.0.0.1:%(second)d/base/path", apiKeySecretRef: {name: second, key: api-key}}
  circuit: {failures: 3, recovery: 5s}
  ramp: 0s
"""
KEY = """\
apiVersion: turnout.dev/v1alpha1
kind: ScopedKey
metadata: {name: app}
spec: {scopes: ["*"], modelGroups: ["*"]}
"""
SECRETS = """\
apiVersion: v1
kind: Secret
metadata: {name: first}
stringData: {api-key: "${FIRST_KEY}"}
---
apiVersion: v1
kind: Secret
metadata: {name: second}
stringData: {api-key: credential-two}
"""


class Laptop:
    """A folder of manifests on three free ports, and at most one `turnout run` on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, first, second = free_ports(3)
        self.ports = {"first": first, "second": second}
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self.write("group.yaml", GROUP % self.ports)
        self.write("key.yaml", KEY)
        self.write("secrets.yaml", SECRETS)

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder, in one step as editors do."""
        (self.folder / f"{name}~").write_text(text)
        (self.folder / f"{name}~").rename(self.folder / name)

    def spawn(self, *options: str, **environment: str) -> "subprocess.Popen[str]":
        """Start `turnout run` and do not wait."""
        command = [TURNOUT, "run", self.folder, "--listen", f"127.0.0.1:{self.port}", *options]
        env = {**os.environ, "FIRST_KEY": "credential-one", **environment}
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self.process

    def start(self, *options: str) -> "Laptop":
        """Start `turnout run` with fake providers; returns when it says that it serves."""
        process = self.spawn("--fake-providers", *options)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.fail(f"it ended with {process.wait()}: {process.communicate()[1]}")
        assert line == f"ready http://127.0.0.1:{self.port}/v1\n"
        self.lines = []
        threading.Thread(target=self._read, args=(process.stderr,), daemon=True).start()
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return self

    def _read(self, stream: Any) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))

    def said(self, words: str, *, within: float = 20.0) -> str:
        """The first log line with these words; waits for it."""
        found = eventually(
            lambda: [line for line in list(self.lines) if words in line],
            within=within,
            why=f"no {words!r} in {self.lines}",
        )
        return str(found[0])

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it with a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(15)

    @property
    def home(self) -> Path:
        """DIR/.turnout."""
        return self.folder / ".turnout"

    def env(self, key: str = "app") -> dict[str, str]:
        """What a key's .env file says."""
        lines = (self.home / "keys" / f"{key}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def sdk(self, key: str = "app", **options: Any) -> openai.OpenAI:
        """The SDK with nothing but what the .env file says."""
        env = self.env(key)
        settings = {
            "base_url": env["OPENAI_BASE_URL"],
            "api_key": env["OPENAI_API_KEY"],
            "max_retries": 0,
            "timeout": 20,
        }
        return openai.OpenAI(**{**settings, **options})

    def ask(self, model: str = "assistant", **options: Any) -> tuple[str, str]:
        """One chat answer: the text, and which model gave it."""
        with self.sdk() as sdk:
            raw = sdk.chat.completions.with_raw_response.create(
                model=model, messages=[{"role": "user", "content": "hello"}], max_tokens=3, **options
            )
        return str(raw.parse().choices[0].message.content), raw.headers["x-turnout-model"]

    def tell(self, provider: str, mode: str) -> None:
        """Change how a fake provider behaves."""
        httpx.get(f"http://127.0.0.1:{self.ports[provider]}/ctl", params={"mode": mode}).raise_for_status()

    def seen(self, provider: str) -> list[dict[str, Any]]:
        """What a fake provider was asked."""
        found: list[dict[str, Any]] = httpx.get(f"http://127.0.0.1:{self.ports[provider]}/ctl/seen").json()
        return found

    def envoys(self) -> list[int]:
        """Processes that work in DIR/.turnout: the Envoy, while there is one."""
        home, found = self.home.resolve(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                zombie = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if not zombie and (process / "cwd").readlink() == home:
                    found.append(int(process.name))
            except OSError:
                continue
        return found


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    """A folder with a group of two models, a key and two Secrets; nothing runs yet."""
    folder = tmp_path / "my manifests"
    folder.mkdir()
    one = Laptop(folder)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def running(laptop: Laptop) -> Laptop:
    """The same, served."""
    return laptop.start()
