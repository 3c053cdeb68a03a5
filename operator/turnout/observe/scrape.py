"""A router's status listener → plain data. The only module that talks to routers."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from turnout.api.modelgroup_status import CircuitState
from turnout.errors import NonsenseError, ScrapeError
from turnout.infra.observation import ConfigState, LaneState, Refusal
from turnout.infra.pod import PORT, STATUS_PORT
from turnout.infra.pods import RouterPod

CONFIG_STATS = "/stats?format=json&filter=%5C.(version_text|update_rejected)$"
METRICS = "/stats/prometheus?filter=%5E(wasmcustom%5C.turnout_%7Cserver%5C.uptime$)"
"""The filter's own metrics, and how long the router runs: all of Envoy's are a hundred for each cluster."""
LANES = "/lanes"
LONGEST_WORDS = 300
"""Characters that are kept of what a provider says."""


def client() -> httpx.AsyncClient:
    """Connections to routers: straight, whatever proxy the environment names, and with little patience."""
    return httpx.AsyncClient(timeout=httpx.Timeout(3.0, connect=1.0), trust_env=False)


def base_url(pod: RouterPod) -> str:
    """Where a pod's status listener is."""
    return f"http://{_host(pod)}:{STATUS_PORT}"


def openai_url(pod: RouterPod) -> str:
    """The OPENAI_BASE_URL of a pod itself."""
    return f"http://{_host(pod)}:{PORT}/v1"


async def read_config(http: httpx.AsyncClient, url: str) -> ConfigState:
    """Which versions a router runs and how often it refused one. Raises ScrapeError."""
    try:
        stats = json.loads(await _get(http, url + CONFIG_STATS))["stats"]
        found = {str(stat["name"]): stat["value"] for stat in stats if "name" in stat}
    except (ValueError, KeyError, TypeError) as error:
        raise ScrapeError(f"{url}: not Envoy's statistics") from error
    return ConfigState(_ending(found, ".version_text"), _ending(found, ".update_rejected"))


async def read_lanes(http: httpx.AsyncClient, url: str) -> tuple[LaneState, ...]:
    """The state of every lane of a router. Raises ScrapeError."""
    try:
        return tuple(map(_lane, json.loads(await _get(http, url + LANES))["lanes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ScrapeError(f"{url}: not the filter's lanes") from error


async def read_metrics(http: httpx.AsyncClient, url: str) -> list[Sample]:
    """The filter's metrics, and the router's uptime. Raises ScrapeError, and NonsenseError for what is no metrics."""
    try:
        # Beside the event loop: 30 µs for each of what may be thousands of lines.
        return await asyncio.to_thread(samples, await _get(http, url + METRICS))
    except ValueError as error:
        raise NonsenseError(f"{url}: not Prometheus' text") from error


def samples(text: str) -> list[Sample]:
    """Prometheus' text as samples; counters end in _total, whatever the text called them."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


async def _get(http: httpx.AsyncClient, url: str) -> str:
    try:
        answer = await http.get(url)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ScrapeError(f"{url}: {type(error).__name__}") from error
    return answer.text


def _host(pod: RouterPod) -> str:
    return f"[{pod.ip}]" if ":" in pod.ip else pod.ip


def _ending(stats: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    return {name.removesuffix(suffix): value for name, value in stats.items() if name.endswith(suffix)}


def _lane(found: Mapping[str, Any]) -> LaneState:
    refusal, fault = found["refusal"], found.get("warmFault")
    return LaneState(
        lane=str(found["lane"]),
        circuit=CircuitState(found["circuit"]),
        refusal=refusal
        and Refusal(int(refusal["status"]), str(refusal["message"])[:LONGEST_WORDS], int(refusal["atMs"])),
        warmed_ms=int(found.get("warmedMs", 0)),  # a router of an older version warms nothing
        warm_fault=None if fault is None else str(fault)[:LONGEST_WORDS],
    )
