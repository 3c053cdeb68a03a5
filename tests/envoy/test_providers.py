"""Providers as they are reached: https with a right certificate, HTTP/2, names that move; all else falls back."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from harness.asking import ask, burst, post
from harness.background import Background
from harness.certificates import Pair, authority, issued
from harness.fixtures import leave_out
from harness.front_door import FrontDoor
from harness.manifests import Manifest, group, key, model, secret, token
from harness.nameserver import NameServer, resolving_by
from harness.packages import HarnessError
from harness.providers import Provider, Trio, deaf_address
from harness.router import Router, Serve, eventually

SPEC = {"circuit": {"failures": 1000}, "timeouts": {"firstToken": "1s", "idle": "1s", "request": "5s"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For certificates."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Pair:
    """The authority that is trusted. Skips where no openssl can be had."""
    try:
        return authority(folder, "ours")
    except HarnessError as error:
        leave_out(f"left out: {error}")


@pytest.fixture(scope="module")
def pairs(folder: Path, ours: Pair) -> dict[str, Pair]:
    """Certificates of every kind."""
    return {
        "local": issued(ours, "local", "DNS:localhost", "IP:127.0.0.1"),
        "named": issued(ours, "named", "DNS:localhost"),
        "elsewhere": issued(ours, "elsewhere", "DNS:api.example.com"),
        "wild": issued(ours, "wild", "DNS:*.provider.test"),
        "unsigned": authority(folder, "unsigned"),
    }


@pytest.fixture(scope="module")
def providers(background: Background, pairs: dict[str, Pair]) -> Iterator[dict[str, Provider]]:
    """A fake provider behind each of them."""
    found = {name: Provider(background, name, tls=pair.server()) for name, pair in pairs.items()}
    yield found
    for provider in found.values():
        provider.kill()


def behind(provider: Provider, *, host: str = "localhost", ca: str | None = "ours", name: str = "") -> Manifest:
    """The provider as a model, reached by that host name and checked against the authority in that Secret."""
    return model(name or provider.name, f"https://{host}:{provider.fake.port}/v1", secret=provider.name, ca=ca)


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio, providers: dict[str, Provider], ours: Pair, folder: Path) -> Router:
    """A group for each way to be reached; behind each stands a good model. The system's roots are another authority."""
    system = authority(folder, "system")
    plain = model("plain", f"https://127.0.0.1:{trio.one.fake.port}/v1")
    tls_by_http = model("tls-by-http", f"http://localhost:{providers['local'].fake.port}/v1")
    first = {
        "good": behind(providers["local"]),
        "by-address": behind(providers["local"], host="127.0.0.1"),
        "not-by-address": behind(providers["named"], host="127.0.0.1"),
        "wrong-name": behind(providers["elsewhere"]),
        "wrong-authority": behind(providers["local"], ca="theirs", name="theirs"),
        "system-authority": behind(providers["local"], ca=None, name="system"),
        "self-signed": behind(providers["unsigned"]),
        "plain": plain,
        "tls-by-http": tls_by_http,
    }
    groups = [group(name, chosen, trio.two.manifest, **SPEC) for name, chosen in first.items()]
    secrets = [secret("ours", **{"ca.crt": ours.pem}), secret("theirs", **{"ca.crt": authority(folder, "theirs").pem})]
    credentials = [p.secret for p in providers.values()]
    return serve(*groups, key("app"), *secrets, *credentials, *trio.secrets, ca_bundle=str(system.certificate))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["good", "by-address"])
def test_a_private_authority_is_trusted_by_secret(router: Router, name: str, stream: bool) -> None:
    """By caSecretRef, with a host name or an address in the URL, as the certificate says it."""
    answer = ask(router.sdk(), name, stream=stream)
    assert (answer.model, answer.attempts) == ("local", 1)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("wrong-authority", "theirs"),
        ("system-authority", "system"),
        ("wrong-name", "elsewhere"),
        ("not-by-address", "named"),
        ("self-signed", "unsigned"),
        ("plain", "plain"),
        ("tls-by-http", "tls-by-http"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_certificate_that_does_not_fit_is_a_failed_attempt(
    router: Router, providers: dict[str, Provider], name: str, first: str, stream: bool
) -> None:
    """Another authority, another name, none at all: nothing is sent there, and the next model answers."""
    for provider in providers.values():
        provider.reset()
    answer = ask(router.sdk(), name, stream=stream)
    assert (answer.model, answer.attempts) == ("two", 2)
    assert answer.fallback == f"{first}=connection"
    assert all(provider.seen == [] for provider in providers.values())


def test_the_systems_roots_are_the_default(serve: Serve, providers: dict[str, Provider], ours: Pair) -> None:
    """Without caSecretRef the system's bundle is what counts; here the test's authority is in it."""
    local = providers["local"]
    trusting = serve(
        group("assistant", behind(local, ca=None), **SPEC), key("app"), local.secret, ca_bundle=str(ours.certificate)
    )
    assert ask(trusting.sdk()).model == "local"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, trio: Trio, pairs: dict[str, Pair]) -> Iterator[FrontDoor]:
    """Provider one behind TLS that offers HTTP/2."""
    door = FrontDoor(tmp_path_factory.mktemp("door"), trio.one.fake.port, pairs["local"], protocols=("h2", "http/1.1"))
    yield door
    door.close()


@pytest.fixture(scope="module")
def old_door(tmp_path_factory: pytest.TempPathFactory, trio: Trio, pairs: dict[str, Pair]) -> Iterator[FrontDoor]:
    """Provider one behind TLS that knows HTTP/1.1 only."""
    door = FrontDoor(tmp_path_factory.mktemp("door"), trio.one.fake.port, pairs["local"], protocols=("http/1.1",))
    yield door
    door.close()


def behind_door(door: FrontDoor, trio: Trio, ours: Pair, **spec: object) -> list[Manifest]:
    """A chain from provider one behind a door to provider two."""
    first = model("one", f"https://localhost:{door.port}/v1", secret="one", ca="ours")
    return [
        group("assistant", first, trio.two.manifest, **{**SPEC, **spec}),
        group("whole", first, trio.two.manifest, **SPEC, delivery="Complete"),
        key("app"),
        secret("ours", **{"ca.crt": ours.pem}),
        *trio.secrets,
    ]


@pytest.fixture(scope="module")
def modern(serve: Serve, door: FrontDoor, trio: Trio, ours: Pair) -> Router:
    """A router before the door with HTTP/2."""
    return serve(*behind_door(door, trio, ours), workers=2)


def test_http_2_is_spoken_where_it_is_offered(modern: Router, trio: Trio) -> None:
    """Chosen by ALPN, with the host name as SNI."""
    assert ask(modern.sdk()).model == "one"
    seen = trio.one.seen[0].headers
    assert (seen["x-seen-protocol"], seen["x-seen-name"]) == ("HTTP/2", "localhost")


def test_http_1_is_spoken_where_nothing_else_is_offered(
    serve: Serve, old_door: FrontDoor, trio: Trio, ours: Pair
) -> None:
    """The same endpoint with another ALPN."""
    old = serve(*behind_door(old_door, trio, ours))
    assert ask(old.sdk(), stream=True).model == "one"
    assert trio.one.seen[0].headers["x-seen-protocol"] == "HTTP/1.1"


@pytest.mark.parametrize("fault", ["503", "drop", "reset", "hang", "stall:0", "error-event", "empty", "html"])
def test_faults_fall_back_over_http_2_too(modern: Router, trio: Trio, fault: str) -> None:
    """Streams that are reset, or say nothing, on a connection that lives on."""
    trio.one.mode(fault)
    answer = ask(modern.sdk(), stream=True)
    assert (answer.model, answer.finish) == ("two", "stop")
    assert len(trio.one.seen) == 1


@pytest.mark.parametrize("fault", ["cut:3", "stall:3", "end:3"])
def test_what_breaks_in_the_middle_is_as_over_http_1(modern: Router, trio: Trio, fault: str) -> None:
    """Live raises in the SDK; Complete is made good by the next model."""
    trio.one.mode(fault)
    assert ask(modern.sdk(), "whole", stream=True).model == "two"
    slow = modern.sdk()
    with pytest.raises((openai.APIError, httpx.TransportError)):
        ask(slow, stream=True)


async def test_many_requests_share_one_connection(modern: Router, trio: Trio) -> None:
    """Fifty at once over two workers use two connections to the provider, or few more while those are opened."""
    ask(modern.sdk())
    trio.one.reset()
    trio.one.mode("slow:0.2")
    headers = {"authorization": f"Bearer {token('app')}"}
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=modern.url, headers=headers, timeout=20, limits=limits) as client:
        assert await burst(client, 50) == {"200 one": 50}
    assert len({s.headers["x-seen-connection"] for s in trio.one.seen}) <= 4


def test_a_large_body_goes_over_http_2(modern: Router, trio: Trio) -> None:
    """Flow control windows are refilled: 8 MiB arrive, and fall back."""
    for fault in ("ok", "503"):
        trio.one.mode(fault)
        answer = post(modern.http(), pad="x" * 8 * 1024 * 1024)
        assert answer.headers["x-turnout-model"] == ("one" if fault == "ok" else "two")


def test_a_door_that_is_killed_fails_no_request(
    serve: Serve, tmp_path: Path, trio: Trio, pairs: dict[str, Pair], ours: Pair
) -> None:
    """Connections with streams on them end all at once; those that wait for their answer get it elsewhere."""
    door = FrontDoor(tmp_path, trio.one.fake.port, pairs["local"], protocols=("h2",))
    router = serve(*behind_door(door, trio, ours))
    assert ask(router.sdk()).model == "one"
    door.kill()
    answer = ask(router.sdk())
    assert (answer.model, answer.fallback) == ("two", "one=connection")


def test_a_provider_that_takes_no_connection_is_left_after_three_seconds(serve: Serve, trio: Trio) -> None:
    """Packets that vanish cost the connect timeout, and no more; deadlines of the group begin with the connection."""
    with deaf_address() as port:
        first = model("deaf", f"http://127.0.0.1:{port}/v1")
        router = serve(group("assistant", first, trio.two.manifest, **SPEC), key("app"), *trio.secrets)
        started = time.monotonic()
        answer = ask(router.sdk(), stream=True)
        assert answer.model == "two"
        assert 1 <= time.monotonic() - started < 5


def test_names_are_looked_up_again(background: Background, names: NameServer, trio: Trio, tmp_path: Path) -> None:
    """A provider that moves is followed; one whose name is gone is a failed attempt, and found when it comes back."""
    old = Provider(background, "old", host="127.0.0.2", api_key=None)
    new = Provider(background, "new", host="127.0.0.3", api_key=None, port=old.fake.port)
    names.addresses["provider.test"] = "127.0.0.2"
    moving = model("moving", f"http://provider.test:{old.fake.port}/v1")
    gone = model("gone", f"http://gone.test:{old.fake.port}/v1")
    router = Router(tmp_path, before=resolving_by(names, tmp_path))
    groups = [group(m["name"], m, trio.two.manifest, **SPEC) for m in (moving, gone)]
    try:
        router.start(*groups, key("app"), *trio.secrets)
        client = router.sdk()
        assert ask(client, "moving|two").text.startswith("Hello from old")
        assert ask(client, "gone|two").fallback == "gone=connection"
        names.addresses["provider.test"] = names.addresses["gone.test"] = "127.0.0.3"
        eventually(lambda: ask(client, "moving|two").text.startswith("Hello from new"))
        eventually(lambda: ask(client, "gone|two").text.startswith("Hello from new"))
    finally:
        router.stop()
        old.kill()
        new.kill()


def test_a_certificate_for_many_hosts_is_good_for_one_level(
    names: NameServer, providers: dict[str, Provider], trio: Trio, ours: Pair, tmp_path: Path
) -> None:
    """*.provider.test covers eu.provider.test, and neither a.eu.provider.test nor provider.test itself."""
    hosts = {"right": "eu.provider.test", "deeper": "a.eu.provider.test", "bare": "provider.test"}
    names.addresses = dict.fromkeys(hosts.values(), "127.0.0.1")
    wild = providers["wild"]
    chain = [behind(wild, host=host, name=name) for name, host in hosts.items()]
    router = Router(tmp_path, before=resolving_by(names, tmp_path))
    theirs = [wild.secret, secret("ours", **{"ca.crt": ours.pem}), *trio.secrets]
    try:
        router.start(group("all", *chain, trio.two.manifest, **SPEC), key("app"), *theirs)
        client = router.sdk()
        assert ask(client, "right").model == "right"
        assert ask(client, "deeper|bare|two").fallback == "deeper=connection, bare=connection"
    finally:
        router.stop()
