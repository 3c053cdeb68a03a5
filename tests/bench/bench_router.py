"""Processor time of the router for a request and for a chunk of a stream, beside a bare Envoy, in one run.

Each is pinned to one core, load and provider to another; rounds of all take turns. Times are medians, in microseconds;
ratios are those of rounds next to each other, with the least and the most.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.parts import (
    MEASURED_CORE,
    OTHER_CORE,
    Contender,
    Load,
    Plain,
    bare_proxy,
    compare,
    need_wrk,
    pinned,
    provider,
    ratios,
)
from harness.manifests import group, key, model, token
from harness.router import Router

ROUNDS, SECONDS = 12, 1
LONG_ROUNDS = 7
"""More would reach the key's limit, which is the largest that there is: 1,000,000,000 tokens a minute."""

CHUNKS = 100
"""Pieces of content in one stream, each sent by itself, 5 ms apart."""

SMALL = [{"role": "user", "content": "Say hello in as many languages as you can."}]
LONG = [{"role": "user", "content": "The quick brown fox jumps over the lazy dog. " * 2200}]
"""About 100 KB."""


@contextmanager
def router(folder: Path, port: int, *, without: tuple[str, ...] = ()) -> Iterator[Router]:
    """A router with everything on: a key with both limits, a chain of two, prices. without: filters taken out."""
    folder.mkdir()
    made = Router(folder, before=pinned(MEASURED_CORE))
    file = folder / "bootstrap.json"
    config = json.loads(file.read_bytes())
    listener = next(one for one in config["static_resources"]["listeners"] if one["name"] == "router")
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    filters[:] = [f for f in filters if f["name"] not in without]
    upstream = filters[-1]["typed_config"]["upstream_http_filters"]
    upstream[:] = [f for f in upstream if f["name"] not in without]
    file.write_text(json.dumps(config))
    price = {"input": "0.14", "output": "0.42"}
    chain = [model(name, f"http://127.0.0.1:{port}/v1", price=price, upstreamName=name) for name in ("m", "other")]
    limits = {"requestsPerMinute": 1_000_000_000, "tokensPerMinute": 1_000_000_000}
    made.write(made.compile(group("assistant", *chain), key("app", limits=limits)))
    made.launch()
    try:
        yield made
    finally:
        made.stop()


def contender(name: str, one: Router | Plain) -> Contender:
    """A router, or a bare Envoy, to be measured."""
    assert one.process
    return Contender(name, one.url, one.process.pid, [])


def show(title: str, contenders: list[Contender]) -> None:
    """A table; the last contender is what the others are compared with."""
    print(f"\n{title}")
    for one in contenders:
        middle, least, most = ratios(one, contenders[-1])
        spread = f"{min(one.rounds):.0f}–{max(one.rounds):.0f}"
        print(f"  {one.name:<22}{one.median:7.1f} µs   ({spread})   × {middle:.2f}  ({least:.2f}–{most:.2f})")


def requests(folder: Path) -> None:
    """Small requests, with what each part of the router costs; and long prompts."""
    with ExitStack() as stack:
        upstream = provider(folder / "provider")
        stack.callback(upstream.stop)
        plain = bare_proxy(folder / "plain", upstream.port)
        stack.callback(plain.stop)
        start = lambda name, *without: stack.enter_context(router(folder / name, upstream.port, without=without))  # noqa: E731
        whole = contender("router", start("whole"))
        no_limits = contender("  without limits", start("no-limits", "rpm", "tpm"))
        no_lane = contender("  without lane filter", start("no-lane", "lane"))
        bare = contender("plain Envoy", plain)
        body = {"model": "assistant", "messages": SMALL, "max_tokens": 1}
        load = Load.of(folder / "small.lua", body, token("app"), connections=32)
        small = [whole, no_limits, no_lane, bare]
        compare(small, load, rounds=ROUNDS, seconds=SECONDS)
        show("a small request (processor time of the process)", small)
        lane, limits = whole.median - no_lane.median, whole.median - no_limits.median
        front = whole.median - bare.median - lane - limits
        print(f"  of it: front and keys {front:.0f} µs, limits {limits:.0f} µs, lane {lane:.0f} µs")
        long = [contender("router", start("long")), contender("plain Envoy", plain)]
        load = Load.of(folder / "long.lua", {**body, "messages": LONG}, token("app"), connections=32)
        compare(long, load, rounds=LONG_ROUNDS, seconds=SECONDS)
        show(f"a prompt of {len(json.dumps(LONG)) // 1000} KB", long)


def streams(folder: Path) -> None:
    """Streams of small chunks: 60 at once, a chunk of each every 5 ms."""
    with ExitStack() as stack:
        command = [*pinned(OTHER_CORE), sys.executable, Path(__file__).parent / "ticker.py", str(CHUNKS)]
        ticker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        stack.callback(ticker.terminate)
        assert ticker.stdout
        port = int(ticker.stdout.readline())
        plain = bare_proxy(folder / "stream-plain", port)
        stack.callback(plain.stop)
        live = stack.enter_context(router(folder / "stream", port))
        both = [contender("router", live), contender("plain Envoy", plain)]
        body = {"model": "assistant", "messages": SMALL, "max_tokens": 1, "stream": True}
        load = Load.of(folder / "stream.lua", body, token("app"), connections=60)
        compare(both, load, rounds=6, seconds=2, per_request=CHUNKS)
        show("a chunk of a stream", both)


def main() -> None:
    """Measure and print."""
    need_wrk()
    with tempfile.TemporaryDirectory() as folder:
        requests(Path(folder))
        streams(Path(folder))


if __name__ == "__main__":
    main()
