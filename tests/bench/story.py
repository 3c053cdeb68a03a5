"""The story behind Turnout as a run: one provider and its bad day, then a group of four. Writes docs/story.md and .svg.

.venv/bin/python tests/bench/story.py [--seconds 240] [--out docs]

Four hours pass in four minutes, before and after side by side through one router, from fixed seeds. All figures are
the router's own.
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.load import steady, through
from bench.paper import Line, arguments, chart, conditions, table, write
from bench.playing import Plan, Provider
from harness.manifests import group, key, model
from harness.router import Metrics, Router
from turnout.observe.sample import BOUNDS, quantile

HOURS = 4
WHOLE = 240.0
"""Seconds of the whole run: one stands for a minute."""
RATE = 20
"""Requests a second and group."""

PRICES = {
    "deepseek-v3.2": ("0.14", "0.42"),
    "gemini-2.5-flash": ("0.15", "2.50"),
    "gpt-4.1": ("2.50", "8.00"),
    "claude-sonnet-4.5": ("3.00", "15.00"),
}
"""USD per million tokens, in and out."""
ALONE = "gpt-4.1"

MEAN, SPREAD, ERRORS, OUTAGE = 0.42, 0.5, (0.02, 0.05), 47.0
"""Seconds; sigma of the log-normal distribution; share of errors; minutes."""
TOKENS = (1000, 300)
RECOVERY, RAMP = 30.0, 60.0
"""Seconds: the defaults of a group."""

GROUPS = {"before": (ALONE,), "after": tuple(PRICES)}


@dataclass(frozen=True)
class Look:
    """The router's counters at one moment, in minutes of the story."""

    at: float
    metrics: Metrics

    def errors(self, name: str) -> float:
        """Answers of a group that were none."""
        codes = ("429", "4xx", "5xx")
        return sum(self.metrics.sum("turnout_requests_total", group=name, code=code) for code in codes)

    def requests(self, name: str) -> float:
        """Requests of a group."""
        return self.metrics.sum("turnout_requests_total", group=name)

    def usd(self, name: str, **labels: str) -> float:
        """What a group has cost."""
        return self.metrics.sum("turnout_cost_nanousd_total", group=name, **labels) / 1e9

    def mean_ms(self, name: str) -> float:
        """Mean time of a group's requests, errors included."""
        metric = "turnout_request_milliseconds"
        return self.metrics.sum(f"{metric}_sum", group=name) / self.metrics.sum(f"{metric}_count", group=name)

    def p95_ms(self, name: str) -> float:
        """The time that 95 of 100 requests of a group took at most."""
        found = {float(s.labels["le"]): s.value for s in self.metrics
                 if s.name == "turnout_request_milliseconds_bucket" and s.labels["group"] == name}  # fmt: skip
        return float(quantile([found[bound] for bound in BOUNDS], 0.95) or 0)


def plan(name: str, minute: float) -> Plan:
    """A provider; minute: seconds of the run for a minute of the story. Each has its outage in an hour of its own."""
    number = list(PRICES).index(name)
    begins = 60 * number + (60 - OUTAGE) / 2
    return Plan(
        name,
        seed=number + 1,
        latency=MEAN,
        spread=SPREAD,
        errors=ERRORS,
        shift=10 * minute,
        outage=(begins * minute, (begins + OUTAGE) * minute),
        tokens=TOKENS,
    )


async def play(router: Router, minute: float) -> list[Look]:
    """Load on both groups, and looks at the router's counters."""
    began = time.monotonic() + 0.5
    looks: list[Look] = []

    async def look() -> None:
        metrics = await asyncio.to_thread(router.metrics)
        looks.append(Look((time.monotonic() - began) / minute, metrics))

    async def watch() -> None:
        for number in range(5, HOURS * 60, 5):
            await asyncio.sleep(max(0.0, began + number * minute - time.monotonic()))
            await look()

    length = HOURS * 60 * minute
    loads = (steady(through(router.url, name), rate=RATE, seconds=length, began=began) for name in GROUPS)
    await asyncio.gather(watch(), *loads)
    await look()
    return looks


def run(seconds: float) -> list[Look]:
    """Start everything, play, end everything."""
    minute = seconds / HOURS / 60
    recovery, ramp = (f"{max(100, round(timer / 60 * minute * 1000))}ms" for timer in (RECOVERY, RAMP))
    timers = {"circuit": {"recovery": recovery}, "ramp": ramp}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        groups = []
        for name, members in GROUPS.items():
            providers = [Provider(plan(member, minute)).start() for member in members]
            for provider in providers:
                stack.callback(provider.kill)
            chain = [model(p.plan.name, p.url, price=_price(p.plan.name)) for p in providers]
            groups.append(group(name, *chain, **timers))
        router = Router(Path(folder), workers=2)
        stack.callback(router.stop)
        router.start(*groups, key("app"))
        return asyncio.run(play(router, minute))


def _price(name: str) -> Mapping[str, str]:
    return dict(zip(("input", "output"), PRICES[name], strict=True))


def document(looks: Sequence[Look], seconds: float) -> str:
    """docs/story.md."""
    last = looks[-1]
    answered = {name: last.requests(name) - last.errors(name) for name in GROUPS}
    per_thousand = {name: last.usd(name) / answered[name] * 1000 for name in GROUPS}
    rows = [
        ["requests", *(f"{last.requests(name):,.0f}" for name in GROUPS)],
        ["errors", *(f"{last.errors(n):,.0f} ({last.errors(n) / last.requests(n):.2%})" for n in GROUPS)],
        ["mean", *(f"{last.mean_ms(name):.0f} ms" for name in GROUPS)],
        ["p95", *(f"{last.p95_ms(name):.0f} ms" for name in GROUPS)],
        ["bill of the run", *(f"{last.usd(name):.2f} USD" for name in GROUPS)],
        ["bill for 1,000 answers", *(f"{cost:.2f} USD" for cost in per_thousand.values())],
    ]
    models = [[name, *PRICES[name], f"{last.metrics.sum('turnout_key_requests_total', group='after', model=name):,.0f}",
               f"{last.usd('after', model=name):.2f} USD"] for name in GROUPS["after"]]  # fmt: skip
    minute = HOURS * 3600 / seconds
    return f"""# One provider's bad day, before and after

The story that Turnout was made for: a program on one provider, which answers in {MEAN * 1000:.0f} ms on average, fails
{ERRORS[0]:.0%} to {ERRORS[1]:.0%} of all requests and is out for {OUTAGE:.0f} minutes, at {" and ".join(PRICES[ALONE])}
USD per million tokens in and out; and the same load, at the same time, on a group of four. Providers are fake, their
seeds fixed; the figures are the router's own metrics.

{table(["", "before: one provider", "after: a group of four"], rows)}

![Errors and bill by time](story.svg)

Who answered after:

{table(["", "USD in", "USD out", "answers", "bill"], models)}

## What is known and what is assumed

- From the story: mean, errors, length of the outage and price of the one provider; the prices of the four.
- Assumed, since nothing is known of the other three: they are no better. Each has the same mean, the same errors and an
  outage as long, in an hour of its own. Faster or steadier ones would make *after* better; outages at the same time,
  worse.
- Assumed: {TOKENS[0]:,} tokens in and {TOKENS[1]:,} out for each request (the bills' ratio depends on it); log-normal
  latencies with a sigma of {SPREAD}; another share of errors every ten minutes. Errors, 503 during an outage too, take
  as long as answers and cost nothing. The chain goes by price. {RATE * seconds / HOURS / 60:.0f} requests in a minute
  of the story.
- Scale: {HOURS} hours pass in {seconds:.0f} seconds, 1:{minute:.0f}. Outages and the group's own timers
  (`circuit.recovery` of {RECOVERY:.0f} s and `ramp` of {RAMP:.0f} s, the defaults) are that much shorter, latencies are
  not. So of the requests during an outage {minute:.0f} times as many as in real time are those that try whether it is
  over, which makes mean and p95 of *after* worse than they would be.
- *Before* is a group of one model through the same router, so that both are measured alike. Mean and p95 are over all
  requests, errors included; p95 is interpolated in the router's histogram.

{conditions("make story")}
"""


def picture(looks: Sequence[Look]) -> bytes:
    """docs/story.svg: share of errors in every five minutes, and the bill so far."""
    lines, bills = [], []
    for name in GROUPS:
        points, asked, failed = [], 0.0, 0.0
        for look in looks:
            share = (look.errors(name) - failed) / max(1.0, look.requests(name) - asked)
            asked, failed = look.requests(name), look.errors(name)
            points.append((look.at, 100 * share))
        lines.append(Line(f"errors {name}, %", points))
        bills.append(Line(f"bill {name}, USD", [(look.at, look.usd(name)) for look in looks]))
    return chart("Errors in every five minutes, and the bill so far", *lines, right=bills, across="minutes", most=100)


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Play and write."""
    given = arguments(__doc__, WHOLE, arguments_given)
    looks = run(given.seconds)
    write(given.out, {"story.md": document(looks, given.seconds), "story.svg": picture(looks)})


if __name__ == "__main__":
    main()
