"""The listeners beside the clients': readiness, statistics and circuits; and drain. Nothing else, nothing secret."""

import threading
import time
from pathlib import Path

import httpx
import pytest

from harness.asking import ask, post
from harness.manifests import group, key, model, token
from harness.providers import Trio
from harness.router import SOURCES, Router, Serve, eventually
from harness.wire import DONE, END, ROLE, Wire, chunk, stream
from turnout.observe.scrape import METRICS, samples
from turnout.observe.uptimes import UPTIME


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio) -> Router:
    """A router that has answered, failed and refused."""
    router = serve(group("assistant", *trio.models), key("app"), *trio.secrets)
    trio.one.mode("401", times=1)
    ask(router.sdk())
    ask(router.sdk())
    return router


def get(router: Router, path: str) -> httpx.Response:
    """GET from the status listener."""
    return router.status.get(path)


def test_ready_says_so(router: Router) -> None:
    """GET /ready: 200."""
    assert (get(router, "/ready").status_code, get(router, "/ready").text) == (200, "LIVE\n")


def test_stats_take_envoys_parameters(router: Router) -> None:
    """The operator reads versions back as JSON by a filter."""
    stats = get(router, "/stats?filter=version_text&format=json").json()["stats"]
    assert len(stats) == SOURCES
    assert {s["value"] for s in stats} == {router.version}


def test_metrics_tell_how_long_the_router_runs(router: Router) -> None:
    """So that one which began anew is known before its pod says so. Nothing else of Envoy's own comes with them."""
    found = {sample.name: sample.value for sample in samples(get(router, METRICS).text)}
    assert [name for name in found if not name.startswith("turnout_")] == [UPTIME]
    eventually(lambda: any(s.name == UPTIME and s.value > 0 for s in samples(get(router, METRICS).text)), within=12)


def test_lanes_shows_every_circuit(router: Router) -> None:
    """One entry for each lane, with its state and what the operator needs of it."""
    answer = get(router, "/lanes")
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()["lanes"]
    assert len(found) == 3
    fields = {"lane", "circuit", "failures", "openForMs", "ramping", "refusal", "inFlight"}
    fields |= {"pausedForMs", "warmedMs", "warmFault"}
    assert all(lane.keys() == fields for lane in found)
    assert {lane["circuit"] for lane in found} == {"Closed"}


@pytest.mark.parametrize("path", ["/ready", "/stats", "/stats?format=json", "/stats/prometheus", "/lanes"])
def test_nothing_secret_is_told(router: Router, path: str) -> None:
    """No token and no credential, nor the address of anybody who could have one."""
    text = get(router, path).text
    assert token("app") not in text
    assert "credential-of-" not in text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/config_dump"),
        ("GET", "/stats/../config_dump"),
        ("GET", "/stats/%2e%2e/config_dump"),
        ("GET", "//config_dump"),
        ("GET", "/ready/../config_dump"),
        ("GET", "/clusters"),
        ("GET", "/listeners"),
        ("GET", "/server_info"),
        ("GET", "/certs"),
        ("GET", "/memory"),
        ("GET", "/logging"),
        ("GET", "/help"),
        ("GET", "/stats/recentlookups"),
        ("GET", "/drain_listeners"),
        ("POST", "/quitquitquit"),
        ("POST", "/drain_listeners"),
        ("POST", "/healthcheck/ok"),
        ("POST", "/healthcheck/fail"),
        ("POST", "/reset_counters"),
        ("POST", "/stats"),
        ("POST", "/ready"),
        ("POST", "/logging?level=trace"),
        ("POST", "/runtime_modify?x=1"),
        ("GET", "/drain"),
        ("POST", "/drain"),
        ("POST", "/lanes"),
        ("PUT", "/drain"),
        ("HEAD", "/drain"),
        ("GET", "/drain/"),
        ("GET", "/drain?x=1"),
        ("GET", "/healthcheck/fail"),
        ("POST", "/v1/chat/completions"),
    ],
)
def test_nothing_else_of_the_admin_interface_is_reachable(router: Router, method: str, path: str) -> None:
    """Refused, and the router goes on: no dump of its configuration, no way to stop it or to fail its health."""
    request = httpx.Request(method, f"{router.status_url}/")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = router.status.send(request)
    assert answer.status_code in (400, 403, 404)
    assert "credential" not in answer.text
    assert get(router, "/ready").status_code == 200


def test_a_client_cannot_ask_for_health_to_fail_by_a_header(router: Router) -> None:
    """Headers that mean something to Envoy mean nothing here either."""
    headers = {"x-envoy-original-path": "/quitquitquit", "x-http-method-override": "POST"}
    assert router.status.get("/ready", headers=headers).status_code == 200


def test_the_admin_interface_has_no_port(router: Router) -> None:
    """It is a Unix socket: the process listens on its three ports only."""
    assert router.process
    inodes = {
        link.readlink().name.removeprefix("socket:[").removesuffix("]")
        for link in Path(f"/proc/{router.process.pid}/fd").iterdir()
        if link.exists() or "socket" in str(link.readlink())
    }
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            listening.add(int(fields[1].partition(":")[2], 16))
    assert listening == {httpx.URL(u).port for u in (router.url, router.status_url, router.drain_url)}


def test_drain_waits_for_the_last_request(trio: Trio, wire: Wire, folder: Path) -> None:
    """Readiness fails at once, requests are still served, and the answer comes only when none is left; 5 s at least."""
    router = Router(folder)
    pieces = [piece for _ in range(14) for piece in (chunk("a"), 0.5)]
    wire.answer = stream(ROLE, *pieces, END, DONE)
    done: list[float] = []
    try:
        router.start(
            group("slow", model("wire", wire.url)), group("assistant", *trio.models), key("app"), *trio.secrets
        )
        with router.http().stream("POST", "/v1/chat/completions", json={"model": "slow", "stream": True}) as answer:
            text = answer.iter_raw()
            next(text)
            started = time.monotonic()
            drained: list[httpx.Response] = []

            def drain() -> None:
                drained.append(router.http(None).get(router.drain_url, timeout=60))
                done.append(time.monotonic())

            thread = threading.Thread(target=drain)
            thread.start()
            eventually(lambda: get(router, "/ready").status_code == 503, within=3)
            assert ask(router.sdk()).model == "one"
            said = b"".join(text)
            ended = time.monotonic()
            assert DONE in said
            assert ended - started > 5
            assert done == []
        thread.join(20)
        assert drained[0].status_code == 200
        assert done[0] > ended
        assert done[0] - ended < 5
        assert post(router.http()).status_code == 200
    finally:
        router.stop()


@pytest.mark.parametrize("path", ["/", "/stats", "/ready", "/lanes", "/healthcheck/fail"])
def test_the_drain_port_does_nothing_else(router: Router, path: str) -> None:
    """Whoever reaches it learns nothing."""
    assert router.http(None).get(str(httpx.URL(router.drain_url).join(path))).status_code == 403


def test_drain_takes_five_seconds_even_if_idle(trio: Trio, folder: Path) -> None:
    """By then every kube-proxy has heard of it, and no new connection comes."""
    router = Router(folder)
    try:
        router.start(group("assistant", *trio.models), key("app"), *trio.secrets)
        started = time.monotonic()
        assert router.http(None).get(router.drain_url, timeout=30).status_code == 200
        assert 4.5 < time.monotonic() - started < 12
    finally:
        router.stop()
