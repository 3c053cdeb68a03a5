"""What the filter leans on and Envoy nowhere promises: a gate for upgrades, each fact with a test that would fail."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.asking import ask, code_of, post
from harness.envoy import ENVOY, FILTER
from harness.manifests import Manifest, group, key, model
from harness.providers import Trio
from harness.router import Router, eventually
from harness.wire import DONE, END, ROLE, Wire, chunk, stream

SPEC = {"circuit": {"failures": 1000}, "timeouts": {"request": "3s"}}
HTTP = "type.googleapis.com/envoy.extensions.filters.http"


def manifests(trio: Trio, wire: Wire) -> list[Manifest]:
    """A chain, and a group with the provider of bytes."""
    first = model("wire", wire.url, secret="one")
    return [group("assistant", *trio.models, **SPEC), group("wired", first, **SPEC), key("app"), *trio.secrets]


def change_bootstrap(router: Router, change: Callable[[list[Any]], None]) -> None:
    """Change the main listener's filters before the router starts."""
    file = router.folder / "bootstrap.json"
    config = json.loads(file.read_bytes())
    listener = next(one for one in config["static_resources"]["listeners"] if one["name"] == "router")
    change(listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"])
    file.write_text(json.dumps(config))


def test_envoy_is_of_the_version_that_was_proven() -> None:
    """Another one needs another look at all that stands here and in test_changes, then this line may change."""
    said = subprocess.run([ENVOY, "--version"], check=True, capture_output=True, text=True).stdout
    assert "/1.40.0/" in said


@pytest.mark.parametrize("cluster", ["right", "none"])
def test_an_attempt_without_its_request_is_refused(trio: Trio, wire: Wire, tmp_path: Path, cluster: str) -> None:
    """Routed to a provider by anything but the filter, without the request's state: 503, and nothing is ever sent."""
    router = Router(tmp_path)
    data = router.compile(*manifests(trio, wire))
    known = json.loads(data["cds.json"])["resources"]
    name = next(c["name"] for c in known if f"_{wire.port}_" in c["name"]) if cluster == "right" else "nowhere"
    state = {"object_key": "wasm.lane", "factory_key": "envoy.string", "format_string": line(name)}
    setter = {"on_request_headers": [state], "clear_route_cache": True}
    instead = {"name": "instead", "typed_config": {"@type": f"{HTTP}.set_filter_state.v3.Config", **setter}}

    def without_front(filters: list[Any]) -> None:
        filters[[f["name"] for f in filters].index("front")] = instead

    change_bootstrap(router, without_front)
    routes = json.loads(data["rds.json"])
    del routes["resources"][0]["virtual_hosts"][0]["routes"][0]["match"]["headers"]
    router.write({**data, "rds.json": json.dumps(routes).encode()})
    try:
        router.launch(sources=3)
        answer = post(router.http(), "wired")
        assert answer.status_code == 503
        code_of(answer)
        assert wire.asked == []
    finally:
        router.stop()


def line(text: str) -> dict[str, Any]:
    """A format that is only a text."""
    return {"text_format_source": {"inline_string": text}}


RUSTC = [
    *("/usr/bin/rustc", "--edition", "2021", "--crate-name", "turnout", "--crate-type", "cdylib"),
    *("--target", "wasm32-unknown-unknown", "-C", "opt-level=0", "-C", "panic=abort", "-C", "strip=symbols"),
    *("-C", "linker=wasm-ld-14"),
]
"""As build.sh, but quick to build."""

CRASH = """
    let crash = host::headers(host::Map::Request).get("x-crash").to_string();
    let lane = with(context, |c| matches!(c, Context::Lane(_))) == Some(true);
    if (crash == "lane" && lane) || (crash == "front" && !lane) {
        std::process::abort();
    }
"""


@pytest.fixture(scope="module")
def crashing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The filter with one way to crash: a request header that asks for it."""
    folder = tmp_path_factory.mktemp("filter")
    if not Path("/usr/bin/rustc").exists() or not shutil.which("wasm-ld-14"):
        message = "left out: a filter that crashes needs Debian 12's rustc, libstd-rust-dev-wasm32 and lld-14"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    shutil.copytree(FILTER.parent / "src", folder / "src")
    entry = folder / "src" / "entry.rs"
    text, changed = re.subn(r"(fn proxy_on_request_headers\(context: u32.*\{\n)", rf"\1{CRASH}", entry.read_text())
    assert changed == 1, "entry.rs has no proxy_on_request_headers(context: u32, …) any more"
    entry.write_text(text)
    module = folder / "crashing.wasm"
    subprocess.run([*RUSTC, folder / "src" / "lib.rs", "-o", module], check=True, capture_output=True)
    return module


@pytest.fixture
def fragile(crashing: Path, trio: Trio, wire: Wire, tmp_path: Path) -> Any:
    """A router with one worker and that filter."""
    router = Router(tmp_path, wasm=crashing)
    yield router.start(*manifests(trio, wire))
    router.stop()


def crash(router: Router, role: str) -> httpx.Response:
    """Ask for a crash in a role."""
    body = {"model": "assistant", "messages": [{"role": "user", "content": "x"}]}
    return router.http().post("/v1/chat/completions", json=body, headers={"x-crash": role})


@pytest.mark.parametrize("role", ["front", "lane"])
def test_a_crash_costs_the_request_that_made_it(fragile: Router, trio: Trio, role: str) -> None:
    """It gets an error in our shape, the VM is made anew at once, and circuits are as they were."""
    trio.two.mode("401", times=1)
    post(fragile.http(), "two")
    before = fragile.lanes()
    assert before["two"]["failures"] == 1
    for _ in range(3):
        answer = crash(fragile, role)
        assert answer.status_code == 503
        code_of(answer)
        eventually(lambda: post(fragile.http()).status_code == 200, within=2)
    assert fragile.lanes() == before
    assert "credential-of-" not in fragile.log()


def test_a_crash_leaves_the_access_log_whole(crashing: Path, trio: Trio, wire: Wire, folder: Path) -> None:
    """The line of the request that made it is JSON, with what Envoy knows at least; the new VM knows the switch."""
    router = Router(folder, wasm=crashing, access_log=True).start(*manifests(trio, wire))
    try:
        assert crash(router, "front").status_code == 503
        eventually(lambda: post(router.http()).status_code == 200, within=2)
        lines = eventually(lambda: found if (found := router.requests())[-1:] and "model" in found[-1] else None)
        assert (lines[0]["status"], lines[-1]["status"], lines[-1]["model"]) == (503, 200, "one")
    finally:
        router.stop()


def test_a_crash_costs_held_requests_and_sends_nothing_without_a_credential(
    fragile: Router, trio: Trio, wire: Wire
) -> None:
    """A request that waits for its answer loses its state: it is refused, and never sent bare to the next model."""
    trio.one.mode("slow:0.6", times=4)
    with ThreadPoolExecutor(4) as pool:
        held = [pool.submit(post, fragile.http()) for _ in range(4)]
        eventually(lambda: len(trio.one.seen) == 4)
        crash(fragile, "front")
        statuses = {h.result().status_code for h in held}
    assert statuses <= {200, 503}
    eventually(lambda: post(fragile.http()).status_code == 200, within=2)
    asked = [(p.credential, s.headers.get("authorization")) for p in trio for s in p.seen]
    assert all(sent == f"Bearer {credential}" for credential, sent in asked)
    assert ask(fragile.sdk()).model == "one"


def test_a_crash_ends_or_leaves_streams_but_completes_none(fragile: Router, wire: Wire) -> None:
    """A stream under way when its VM dies either flows to its end or is cut; it never ends early looking whole."""
    wire.answer = stream(ROLE, chunk("a"), 0.4, chunk("b"), END, DONE)
    said = b""
    try:
        with fragile.http().stream("POST", "/v1/chat/completions", json={"model": "wired", "stream": True}) as answer:
            text = answer.iter_raw()
            said = next(text)
            crash(fragile, "front")
            said += b"".join(text)
    except httpx.RemoteProtocolError:
        assert DONE not in said
    else:
        assert said == ROLE + chunk("a") + chunk("b") + END + DONE


def test_a_crash_now_and_then_leaves_most_requests_served(fragile: Router) -> None:
    """A crash a second: the VM is back in a few hundredths of a second, not after Envoy's back-off of seconds."""
    served, asked, due = 0, 0, time.monotonic()
    client = fragile.http()
    for _ in range(3):
        crash(fragile, "front")
        due += 1.0
        while time.monotonic() < due:
            asked += 1
            served += post(client).status_code == 200
            time.sleep(0.01)
    assert served / asked > 0.6, f"{served} of {asked}"


def test_shared_data_outlives_the_vm(fragile: Router, trio: Trio) -> None:
    """A lane that wants peace has it from the next VM, too."""
    trio.one.mode("429:30", times=1)
    post(fragile.http())
    assert fragile.lanes()["one"]["pausedForMs"] > 0
    crash(fragile, "front")
    answer = eventually(lambda: a if (a := post(fragile.http())).status_code == 200 else None)
    assert answer.headers["x-turnout-model"] == "two"
