"""Changes of configuration while the router works: no request fails, and what Envoy rejects changes nothing."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.asking import ask, burst, post
from harness.manifests import Manifest, group, key, model, token
from harness.providers import Trio
from harness.router import SOURCES, Router, Serve, eventually
from harness.wire import DONE, END, ROLE, Wire, chunk, stream

SPEC = {"circuit": {"failures": 1000}}


def manifests(trio: Trio, number: int = 0) -> list[Manifest]:
    """A configuration that differs in everything from that of another number: chain, price, lane, cluster, keys."""
    one, two, three = trio.models
    first = {**one, "upstreamName": f"one-{number}", "price": {"input": str(number), "output": "2"}}
    more = [group(f"extra-{i}", three, **SPEC) for i in range(number % 5)]
    chained = [first, two, three] if number % 2 else [first, three]
    return [group("assistant", *chained, **SPEC), *more, key("app"), key(f"key-{number}"), *trio.secrets]


@pytest.fixture
def router(serve: Serve, trio: Trio) -> Router:
    """A router for each test."""
    return serve(*manifests(trio), workers=2)


async def load(router: Router, until: asyncio.Event, seen: Counter[str], *, stream: bool) -> None:
    """Calls, one after the other on one connection, until told to stop."""
    headers = {"authorization": f"Bearer {token('app')}"}
    async with httpx.AsyncClient(base_url=router.url, headers=headers, timeout=20) as client:
        while not until.is_set():
            seen += await burst(client, 1, stream=stream)


async def while_loaded(router: Router, change: Callable[[], None]) -> Counter[str]:
    """The answers of eight clients, four of them streaming, while `change` runs in a thread of its own."""
    until, seen = asyncio.Event(), Counter[str]()
    clients = [asyncio.create_task(load(router, until, seen, stream=n % 2 == 0)) for n in range(8)]
    await asyncio.to_thread(change)
    until.set()
    await asyncio.gather(*clients)
    return seen


async def test_twenty_changes_under_load_fail_no_request(router: Router, trio: Trio) -> None:
    """Everything changes twenty times, clusters included; every answer is the first model's, nobody is cut off."""

    def change() -> None:
        for number in range(1, 21):
            router.publish(*manifests(trio, number))
            time.sleep(0.05)

    answers = await while_loaded(router, change)
    assert set(answers) == {"200 one"}
    assert answers.total() > 40
    assert router.stats("http.router.downstream_cx_drain_close")["http.router.downstream_cx_drain_close"] == 0


async def test_a_primary_that_dies_under_load_fails_no_request(router: Router, trio: Trio) -> None:
    """Killed, with what was under way, and brought back: every call that does not stream is answered."""
    until, seen = asyncio.Event(), Counter[str]()
    clients = [asyncio.create_task(load(router, until, seen, stream=False)) for _ in range(8)]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(trio.one.kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(trio.one.revive)
    await asyncio.sleep(0.5)
    until.set()
    await asyncio.gather(*clients)
    assert set(seen) == {"200 one", "200 three"}


def test_a_stream_under_way_ends_on_the_configuration_it_began_with(router: Router, wire: Wire, trio: Trio) -> None:
    """Its group, key, lane and cluster go away while it flows: it flows on, and is still watched for its end."""
    wire.answer = stream(ROLE, chunk("a"), 0.5, chunk("b"), END, DONE)
    router.publish(group("assistant", model("wire", wire.url), **SPEC), key("app"))
    eventually(lambda: post(router.http()).headers.get("x-turnout-model") == "wire")
    with router.http().stream("POST", "/v1/chat/completions", json={"model": "assistant", "stream": True}) as answer:
        text = answer.iter_raw()
        said = next(text)
        router.publish(group("other", trio.two.manifest, **SPEC), key("another"), *trio.secrets)
        eventually(lambda: post(router.http()).status_code == 401)
        said += b"".join(text)
    assert said == ROLE + chunk("a") + chunk("b") + END + DONE


def test_a_changed_credential_is_used_by_the_next_request(router: Router, trio: Trio) -> None:
    """No cluster or route changes for it."""
    before = router.stats("cluster_manager.cluster_(added|modified|removed)")
    trio.one.mode("ok")
    wrong = {**trio.one.secret, "stringData": {"api-key": "credential-of-one-mistyped"}}
    router.publish(*[m for m in manifests(trio) if m != trio.one.secret], wrong)
    client = router.sdk()
    eventually(lambda: ask(client).fallback == "one=401")
    router.publish(*manifests(trio))
    eventually(lambda: ask(client).model == "one")
    assert router.stats("cluster_manager.cluster_(added|modified|removed)") == before


def spoilt(router: Router, trio: Trio, file: str, change: Callable[[dict], None]) -> Path:
    """Publish the configuration with one of its files changed, version and all."""
    data = dict(router.compile(*manifests(trio, 3)))
    document = json.loads(data[file])
    change(document["resources"][0])
    data[file] = json.dumps(document).encode()
    router.write(data)
    return router.folder


def table(resource: dict, text: str) -> None:
    """Put a text in the place of the filter's table."""
    resource["typed_config"]["config"]["configuration"]["value"] = text


BROKEN_TABLES = {
    "another version": "turnout\t1\n",
    "nothing": "",
    "an unknown line": "turnout\t7\nwhat\tis\tthis\n",
    "a lane with a word too few": "turnout\t7\nlane\tid\tcluster\n",
    "a model without its lane": "turnout\t7\ngroup\tg\t1\t1\t1\t1\t1\tlive\n"
    "model\tg\tm\tnone\t1\t1\t1\t1\t1\t1\t1\t1\t0\t*\n",
    "a number that is none": "turnout\t7\nkey\tk\t*\t*\tsoon\t0\n",
    "no table at all": "\x00\x01\ufffd",
}


@pytest.mark.parametrize("case", BROKEN_TABLES)
def test_a_table_that_does_not_fit_is_rejected_whole(serve: Serve, trio: Trio, case: str) -> None:
    """The filter refuses it, Envoy counts it and says why in its log, and the last good one keeps serving."""
    router = shared(serve, trio)
    front = "extension_config_discovery.http_filter.front"
    version, before = router.versions()[f"{front}.version_text"], rejections(router, front)
    said = len(router.log())
    spoilt(router, trio, "ecds_front.json", lambda resource: table(resource, BROKEN_TABLES[case]))
    eventually(lambda: rejections(router, front) == before + 1)
    assert router.versions()[f"{front}.version_text"] == version
    assert re.search(r"table refused: line \d+: \w+", router.log()[said:])
    assert "update rejected" in router.log()[said:]
    assert ask(router.sdk()).model == "one"


_SHARED: dict[Serve, Router] = {}


def shared(serve: Serve, trio: Trio) -> Router:
    """One router for the tests that leave it as it was."""
    if serve not in _SHARED:
        _SHARED[serve] = serve(*manifests(trio))
    return _SHARED[serve]


def rejections(router: Router, source: str) -> int:
    """How often Envoy has rejected what a source had to say: what the operator looks at."""
    name = f"{source}.update_rejected"
    return int(router.stats(name).get(name, 0))


WRONG: dict[str, tuple[str, Callable[[dict], Any]]] = {
    "cds.json": ("cluster_manager.cds", lambda cluster: cluster.update(connect_timeout="0s")),
    "rds.json": ("http.router.rds.router", lambda routes: routes["virtual_hosts"].append(routes["virtual_hosts"][0])),
    "ecds_keys.json": (
        "extension_config_discovery.http_filter.keys",
        lambda keys: keys["typed_config"].update(key_sources=[{}]),
    ),
}
"""File → the statistics of its source, and what makes its content wrong."""


@pytest.mark.parametrize("file", WRONG)
def test_a_resource_that_envoy_rejects_changes_nothing(serve: Serve, trio: Trio, file: str) -> None:
    """It is counted as update_rejected, Envoy's log says why, and the last good one keeps serving."""
    router = shared(serve, trio)
    source, spoil = WRONG[file]
    version, before = router.versions()[f"{source}.version_text"], rejections(router, source)
    said = len(router.log())
    spoilt(router, trio, file, spoil)
    eventually(lambda: rejections(router, source) == before + 1)
    assert router.versions()[f"{source}.version_text"] == version
    assert "update rejected" in router.log()[said:]
    assert ask(router.sdk()).model == "one"
    router.publish(*manifests(trio))
    assert ask(router.sdk()).model == "one"


def test_files_that_are_no_json_change_nothing(trio: Trio, tmp_path: Path) -> None:
    """Half-written files, which the swap makes impossible: the last good ones keep serving.

    Envoy's log then holds the whole file, credentials and all, so this is a router whose log nobody looks at.
    """
    router = Router(tmp_path)
    try:
        router.start(*manifests(trio))
        version = router.versions()
        data = router.compile(*manifests(trio, 3))
        router.write({name: content[:-20] for name, content in data.items()})
        failures = "cluster_manager.cds.update_failure"
        eventually(lambda: router.stats(failures)[failures])
        assert router.versions() == version
        assert ask(router.sdk()).model == "one"
        router.publish(*manifests(trio, 3))
        assert ask(router.sdk()).model == "one"
    finally:
        router.stop()


def test_a_router_starts_and_serves_with_nobody_else_alive(serve: Serve, trio: Trio, tmp_path: Path) -> None:
    """The files are all that it needs: a restart serves what was published last."""
    router = Router(tmp_path)
    try:
        router.start(*manifests(trio, 1))
        assert ask(router.sdk()).model == "one"
    finally:
        router.stop()
    again = Router(tmp_path)
    again.version = router.version
    try:
        assert ask(again.launch().sdk()).model == "one"
    finally:
        again.stop()


def test_a_thousand_lanes_are_taken_quickly(serve: Serve, trio: Trio) -> None:
    """Ready within seconds, and a change of one lane in much less; statistics of every cluster must not be searched."""
    router = shared(serve, trio)
    base = trio.one.manifest
    lanes = [{**base, "name": f"m{i}", "upstreamName": f"m{i}"} for i in range(1000)]
    groups = [group(f"g{i}", *lanes[i * 10 : i * 10 + 10], **SPEC) for i in range(100)]
    router.publish(*groups, key("app"), *trio.secrets)
    eventually(lambda: ask(router.sdk(), "g99").model == "m990")
    assert len(router.lanes()) == 1000
    assert router.process
    open_files = [str(fd.readlink()) for fd in Path(f"/proc/{router.process.pid}/fd").iterdir()]
    # One inotify instance for each watched file; Envoy aborts when the user's 128 are gone.
    assert open_files.count("anon_inode:inotify") <= 2 * SOURCES
