"""An outage under load: the first model's provider is killed, and comes back. Writes docs/outage.md and .svg.

.venv/bin/python tests/bench/bench_outage.py [--seconds 180] [--out docs]

100 requests a second for three minutes; the provider dies after 30 seconds and is back after 90. A shorter run is the
same in less time, the group's recovery and ramp included.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import Call, quantile, steady, through
from bench.paper import Line, arguments, chart, conditions, table, write
from bench.playing import Plan, Provider
from harness.manifests import group, key, model
from harness.router import Router

RATE = 100
WHOLE, DIES, BACK = 180.0, 30.0, 90.0
RECOVERY, RAMP = 5.0, 45.0
LATENCY = 0.1
NAMES = ("first", "second", "third")


@dataclass
class Drill:
    """What was seen. Times are seconds since the load began, in a run of three minutes."""

    calls: list[Call] = field(default_factory=list)
    attempts: list[tuple[float, float]] = field(default_factory=list)
    """Attempts at the first model so far, as the router counts them, by time."""

    def between(self, since: float, until: float) -> list[Call]:
        """The calls that were due then."""
        return [call for call in self.calls if since <= call.due < until]

    def attempted(self, since: float, until: float) -> float:
        """Attempts at the first model between two moments."""
        so_far = [next((n for at, n in reversed(self.attempts) if at <= moment), 0.0) for moment in (since, until)]
        return so_far[1] - so_far[0]


async def drill(router: Router, first: Provider, scale: float) -> Drill:
    """The load, the death and the return; scale: seconds of the run for one of the document."""
    seen = Drill()
    began = time.monotonic() + 0.5

    async def until(moment: float) -> None:
        await asyncio.sleep(max(0.0, began + moment * scale - time.monotonic()))

    async def watch() -> None:
        while True:
            metrics = await asyncio.to_thread(router.metrics)
            at = (time.monotonic() - began) / scale
            seen.attempts.append((at, metrics.sum("turnout_attempts_total", model="first")))
            await asyncio.sleep(0.25)

    async def die_and_return() -> None:
        await until(DIES)
        first.kill()
        await until(BACK)
        await asyncio.to_thread(first.start)

    watching, dying = asyncio.create_task(watch()), asyncio.create_task(die_and_return())
    calls = await steady(through(router.url), rate=RATE, seconds=WHOLE * scale, began=began)
    watching.cancel()
    await dying
    seen.calls = [Call(call.due / scale, call.took, call.status, call.model) for call in calls]
    return seen


def document(seen: Drill, scale: float) -> str:
    """docs/outage.md."""
    under_way = DIES - 2 * LATENCY / scale
    phases = {
        "before": (0.0, under_way),
        "in the first second, and what was under way": (under_way, DIES + 1 / scale),
        "while it is dead": (DIES + 1 / scale, BACK),
        "after its return": (BACK, WHOLE),
    }
    rows = []
    for name, span in phases.items():
        calls = seen.between(*span)
        share = sum(call.model == "first" for call in calls) / len(calls)
        figures = [f"{quantile(calls, 0.5):.0f} ms", f"{quantile(calls, 0.99):.0f} ms", f"{share:.0%}"]
        rows.append([name, f"{len(calls):,}", str(sum(call.failed for call in calls)), *figures])
    dead = seen.attempted(DIES, BACK)
    slowest = max(call.took for call in seen.calls) * 1000
    return f"""# An outage under load

{RATE} requests a second through one router, from programs that do not retry. The chain has three models, whose
providers answer after {LATENCY * 1000:.0f} ms each. After {DIES:.0f} seconds the first provider's process is killed:
what it was working on is cut, and its port refuses connections. After {BACK:.0f} seconds it is started again. The
group asks for `circuit.recovery: {RECOVERY:.0f}s` and `ramp: {RAMP:.0f}s`, so that both fit into three minutes; all
else is as by default.

{table(["", "requests", "errors", "p50", "p99", "answered by the first"], rows)}

Errors are those that the programs saw. The slowest of all answers took {slowest:.0f} ms. While it was dead, the first
provider was tried {dead:.0f} times, {dead / (BACK - DIES) / scale:.2f} times a second, as the router counts attempts.

![Share of the first model by time](outage.svg)

{conditions("make drill", scale)}
"""


def picture(seen: Drill) -> bytes:
    """docs/outage.svg: the first model's share by time, and the slowest of a hundred."""
    step = 2
    moments = [float(moment) for moment in range(0, int(WHOLE), step)]
    spans = [seen.between(moment, moment + step) for moment in moments]
    shares = [100 * sum(c.model == "first" for c in calls) / len(calls) for calls in spans]
    return chart(
        "Who answers while the first provider is dead (30 s to 90 s) and comes back",
        Line("share of the first model, %", list(zip(moments, shares, strict=True))),
        right=(Line("p99, ms", [(m, quantile(calls, 0.99)) for m, calls in zip(moments, spans, strict=True)]),),
        across="seconds",
        most=100,
    )


def run(folder: Path, scale: float) -> Drill:
    """Start everything, drill, end everything."""
    providers = [Provider(Plan(name, latency=LATENCY)).start() for name in NAMES]
    router = Router(folder, workers=2)
    circuit = {"recovery": f"{round(RECOVERY * scale * 1000)}ms"}
    chain = [model(p.plan.name, p.url) for p in providers]
    try:
        router.start(group("assistant", *chain, circuit=circuit, ramp=f"{round(RAMP * scale * 1000)}ms"), key("app"))
        return asyncio.run(drill(router, providers[0], scale))
    finally:
        for provider in providers:
            provider.kill()
        router.stop()


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Drill and write."""
    given = arguments(__doc__, WHOLE, arguments_given)
    scale = given.seconds / WHOLE
    with tempfile.TemporaryDirectory() as folder:
        seen = run(Path(folder), scale)
    write(given.out, {"outage.md": document(seen, scale), "outage.svg": picture(seen)})


if __name__ == "__main__":
    main()
