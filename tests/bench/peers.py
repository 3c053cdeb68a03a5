"""Other gateways for the table of faults: from their packages, on free ports, set up as their documentation says.

Sources: docs.litellm.ai, "Fallbacks (Provider Failover)", "Timeouts", "Retries, fallbacks and cooldowns";
portkey.ai/docs, "Fallbacks", "Request Timeouts", "Custom Hosts", "Circuit Breaker"; all read in November 2026.
"""

import json
import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from faults.calls import Gateway
from faults.catalogue import CASES, Case
from faults.stage import DEADLINE_MS, FAILURES, Stage, spare_name
from harness.router import eventually
from turnout.local.envoy import free_port

LITELLM, PORTKEY = "1.106.2", "1.15.2"
"""The newest versions on PyPI and npm in November 2026."""

HONO = "1.13.8"
"""Portkey's HTTP server. With a newer one, as npm would choose, every stream ends in a 500: Portkey-AI/gateway#1389."""

START = 120.0
"""Seconds within which a peer must serve; LiteLLM takes about 15 on two cores."""

KEY = "sk-of-the-bench"

LITELLM_SAYS = (
    f"LiteLLM proxy {LITELLM} (PyPI, one worker, no database): a model group for each case, `fallbacks` to a second "
    f"one, `timeout` and `stream_timeout` {DEADLINE_MS / 1000:g} s, `num_retries: 0`, "
    f"`allowed_fails: {FAILURES - 1}`, `cooldown_time: 600`"
)
PORTKEY_SAYS = (
    f"Portkey gateway {PORTKEY} (npm, on Node.js, with @hono/node-server {HONO}, because with a newer one every stream "
    "ends in a 500, Portkey-AI/gateway#1389): in `x-portkey-config` `strategy.mode: fallback` and two targets, "
    f"`request_timeout` {DEADLINE_MS} ms each, `cb_config` with `failure_threshold: {FAILURES}`, no `retry`, no "
    "`on_status_codes` (by default every status that is not 2xx goes to the next target)"
)


def install_litellm(folder: Path) -> Path:
    """Its command, in an environment of its own."""
    home = folder / "litellm"
    if not (home / "bin" / "litellm").exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", f"litellm[proxy]=={LITELLM}"], check=True)
    return home / "bin" / "litellm"


def install_portkey(folder: Path) -> Path:
    """Its server's script. Raises OSError where there is no npm."""
    home = folder / "portkey"
    script = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        package = {"dependencies": {"@portkey-ai/gateway": PORTKEY}, "overrides": {"@hono/node-server": HONO}}
        (home / "package.json").write_text(json.dumps(package))
        options = ["--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(["npm", "install", *options], cwd=home, check=True)
    return script


@contextmanager
def litellm(packages: Path, folder: Path, stage: Stage) -> Iterator[Gateway]:
    """LiteLLM's proxy; its table of prices is the one in the package, so that it asks nobody outside."""
    deadline = DEADLINE_MS / 1000
    deadlines = {"timeout": deadline, "stream_timeout": deadline}
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{name}", "api_base": url, "api_key": key, **deadlines},
        }
        for case in CASES
        for name, url, key in (
            (case.name, stage.url(case), "sk-primary"),
            (spare_name(case), stage.fallback.url, stage.fallback.credential),
        )
    ]
    config = {
        "model_list": models,
        "router_settings": {
            "fallbacks": [{case.name: [spare_name(case)]} for case in CASES],
            "num_retries": 0,
            "allowed_fails": FAILURES - 1,
            "cooldown_time": 600,
        },
        "general_settings": {"master_key": KEY},
    }
    file = folder / "litellm.json"  # YAML 1.2 holds all of JSON
    file.write_text(json.dumps(config))
    port = free_port()
    command = [install_litellm(packages), "--config", file, "--host", "127.0.0.1", "--port", port]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with _process(command, folder / "litellm.log", quiet, f"http://127.0.0.1:{port}/health/liveliness"):
        yield Gateway("LiteLLM", f"http://127.0.0.1:{port}/v1", KEY)


@contextmanager
def portkey(packages: Path, folder: Path, stage: Stage) -> Iterator[Gateway]:
    """Portkey's gateway, which takes its configuration from a header of each request."""

    def target(name: str, url: str, key: str) -> dict[str, Any]:
        where = {"provider": "openai", "custom_host": url, "api_key": key}
        return {**where, "request_timeout": DEADLINE_MS, "override_params": {"model": name}}

    def headers(case: Case) -> dict[str, str]:
        breaker = {"failure_threshold": FAILURES, "cooldown_interval": 60_000}
        targets = [
            target(case.name, stage.url(case), "sk-primary"),
            target(spare_name(case), stage.fallback.url, stage.fallback.credential),
        ]
        config = {"strategy": {"mode": "fallback", "cb_config": breaker}, "targets": targets}
        return {"x-portkey-config": json.dumps(config)}

    port = free_port()
    command = ["node", install_portkey(packages), f"--port={port}", "--headless"]
    hosts = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    with _process(command, folder / "portkey.log", hosts, f"http://127.0.0.1:{port}/"):
        yield Gateway("Portkey", f"http://127.0.0.1:{port}/v1", "unused", headers)


@contextmanager
def _process(command: list[Any], log: Path, env: dict[str, str], ready: str) -> Iterator[None]:
    with log.open("wb") as out:
        words = [str(word) for word in command]
        process = subprocess.Popen(words, stdout=out, stderr=out, env={**os.environ, **env})

    def answers() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            return httpx.get(ready, timeout=5).status_code < 500
        except httpx.TransportError:
            return False

    try:
        eventually(answers, within=START, why=f"{command[0]} does not serve")
        yield
    finally:
        process.terminate()
        process.wait(20)
