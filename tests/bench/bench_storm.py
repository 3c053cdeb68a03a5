"""A storm: the first model dies at 300 requests a second, its fallbacks take less. Writes docs/storm.md and .svg.

.venv/bin/python tests/bench/bench_storm.py [--seconds 70] [--out docs]

The same storm, one time after the other: for a program that asks one provider after the other (retry in order), for
Turnout without `capacity`, for Turnout with it, and for that again with providers that say Retry-After.

Retry in order is a loop in the client, not a second proxy: it is what programs and SDK wrappers do, and a proxy that
retries in order asks providers exactly as often, so nothing would be added but its configuration.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.load import Ask, Call, in_order, quantile, steady, through
from bench.paper import Line, arguments, chart, conditions, table, write
from bench.playing import Plan, Provider
from harness.manifests import group, key, model
from harness.router import Router

RATE = 300
CALM, STORM = 10.0, 60.0
LIMITS = {"second": 100, "third": 150}
"""Requests a second that the fallbacks take; above them they answer 429."""
LATENCY = 0.1

MakeAsk = Callable[[Path, Sequence[Provider], ExitStack], Ask]


@dataclass(frozen=True)
class Weathered:
    """What one way of falling back made of the storm. asked: by provider, in each second."""

    name: str
    calls: list[Call]
    asked: dict[str, list[int]]

    @property
    def storm(self) -> list[Call]:
        """The calls after the first provider's death."""
        return [call for call in self.calls if call.due >= CALM]


def retry_in_order(_: Path, providers: Sequence[Provider], __: ExitStack) -> Ask:
    """A client's own loop."""
    return in_order([provider.url for provider in providers])


def turnout(*, capacity: bool) -> MakeAsk:
    """A router of two workers over the three; capacity: whether the group states what the fallbacks take."""

    def make(folder: Path, providers: Sequence[Provider], stack: ExitStack) -> Ask:
        router = Router(folder, workers=2)
        limits = {name: {"capacity": {"requestsPerMinute": 60 * limit}} for name, limit in LIMITS.items()}
        chain = [model(p.plan.name, p.url, **(limits.get(p.plan.name, {}) if capacity else {})) for p in providers]
        stack.callback(router.stop)
        router.start(group("assistant", *chain), key("app"))
        return through(router.url)

    return make


WAYS: dict[str, tuple[MakeAsk, int]] = {
    "retry in order": (retry_in_order, 0),
    "Turnout without capacity": (turnout(capacity=False), 0),
    "Turnout with capacity": (turnout(capacity=True), 0),
    "Turnout without capacity, 429 with Retry-After": (turnout(capacity=False), 1),
    "Turnout with capacity, 429 with Retry-After": (turnout(capacity=True), 1),
}
"""Each with the Retry-After of the fallbacks' 429, in seconds; 0 = none. A client's own loop would not look at it."""


async def storm(ask: Ask, first: Provider, seconds: float) -> tuple[float, list[Call]]:
    """Load, and after CALM the first provider's death; when it began (time.monotonic()), and the calls."""
    began = time.monotonic() + 0.5

    async def die() -> None:
        await asyncio.sleep(max(0.0, began + CALM - time.monotonic()))
        first.kill()

    dying = asyncio.create_task(die())
    calls = await steady(ask, rate=RATE, seconds=seconds, began=began)
    await dying
    return began, calls


def weather(name: str, make: MakeAsk, retry_after: int, seconds: float) -> Weathered:
    """One way through a storm of its own, with providers of its own."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        plans = [Plan("first", latency=LATENCY)]
        plans += [Plan(n, latency=LATENCY, limit=limit, retry_after=retry_after) for n, limit in LIMITS.items()]
        providers = [Provider(plan).start() for plan in plans]
        for provider in providers:
            stack.callback(provider.kill)
        ask = make(Path(folder), providers, stack)
        began, calls = asyncio.run(storm(ask, providers[0], seconds))
        asked = {p.plan.name: p.asked(began + CALM, began + seconds) for p in providers[1:]}
        return Weathered(name, calls, asked)


def over(asked: Sequence[int], limit: int) -> str:
    """How far over its limit a provider was asked: on average, and in the worst second."""
    mean = sum(asked) / len(asked)
    return f"{mean / limit:.2f} × (worst second {max(asked) / limit:.2f} ×)"


def document(ways: Sequence[Weathered], seconds: float) -> str:
    """docs/storm.md."""
    rows = []
    for way in ways:
        failed = sum(call.failed for call in way.storm)
        pressed = [over(way.asked[name], limit) for name, limit in LIMITS.items()]
        answered = [call for call in way.storm if not call.failed]
        share = f"{failed:,} ({failed / len(way.storm):.1%})"
        rows.append([way.name, share, *pressed, f"{quantile(answered, 0.5):.0f} / {quantile(answered, 0.99):.0f} ms"])
    heads = [
        "",
        "clients that saw an error",
        *(f"`{name}` was asked, of its {limit}/s" for name, limit in LIMITS.items()),
    ]
    lasted = seconds - CALM
    least = (RATE - sum(LIMITS.values())) * lasted
    short = "" if seconds == CALM + STORM else f" A trial: the storm lasted {lasted:.0f} s only."
    return f"""# A storm

{RATE} requests a second go to a chain of three models. After {CALM:.0f} seconds the provider of the first is killed.
The second takes {LIMITS["second"]} requests in any one second and answers 429 above that, the third {LIMITS["third"]};
answers come after {LATENCY * 1000:.0f} ms, 429 at once and without Retry-After, but for the last rows: there it says
one second. The figures are those of the {lasted:.0f} seconds after the death, {RATE * lasted:,.0f} requests. The two
fallbacks take {sum(LIMITS.values())} a second together, so about {least:,.0f} clients ({least / RATE / lasted:.1%})
must see an error, whatever one does.

{table([*heads, "p50 / p99 of the answers"], rows)}

*Retry in order* is the loop that programs have: each request asks the providers one after the other until one answers.
*Turnout with capacity* states `capacity.requestsPerMinute` of {" and ".join(f"{60 * n:,}" for n in LIMITS.values())} on
the two fallbacks; all else in its groups is as by default.

A 429 with Retry-After stops a model for as long as it says, so what matters is not to cause one: state `capacity`. A
model that refuses all the same is asked 2 % less often, which comes back within a minute.

![Clients that saw an error, by time](storm.svg)

{conditions("make drill")}{short}
"""


def picture(ways: Sequence[Weathered], seconds: float) -> bytes:
    """docs/storm.svg: errors in each second."""
    lines = []
    for way in ways:
        failed = [0] * int(seconds)
        for call in way.calls:
            failed[int(call.due)] += call.failed
        lines.append(Line(way.name, list(enumerate(failed))))
    return chart(
        f"Clients that see an error, a second; the first provider dies at {CALM:.0f} s", *lines, across="seconds"
    )


def main(arguments_given: Sequence[str] | None = None) -> None:
    """All ways in turn."""
    given = arguments(__doc__, CALM + STORM, arguments_given)
    ways = [weather(name, *way, given.seconds) for name, way in WAYS.items()]
    write(given.out, {"storm.md": document(ways, given.seconds), "storm.svg": picture(ways, given.seconds)})


if __name__ == "__main__":
    main()
