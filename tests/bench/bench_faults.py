"""The table of faults through Turnout and through other gateways, in one run, as Markdown.

.venv/bin/python tests/bench/bench_faults.py [FILE] [--packages FOLDER] [--only TURNOUT,…]

It prints the table, and writes it to FILE if one is named, such as docs/faults.md. The peers are installed below
FOLDER, by default a temporary one; a peer that cannot be had is left out, and the table says so.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench import peers
from faults.calls import CALLS, PATIENCE, Call, Gateway, Saw, measure
from faults.catalogue import CASES, GROUPS, Case
from faults.expected import expected
from faults.stage import DEADLINE_MS, FAILURES, Stage, stage
from harness.manifests import token
from harness.router import Router
from turnout import __version__

Results = dict[str, list[Call]]
"""The calls of each case, by its name."""

WORDS = {
    Saw.FALLBACK: "fallback",
    Saw.PRIMARY: "primary",
    Saw.ERROR: "error",
    Saw.BROKEN: "raised",
    Saw.JOINED: "**joined**",
    Saw.WRONG: "**wrong**",
    Saw.HUNG: "**hung**",
}

TURNOUT_SAYS = (
    f"Turnout {__version__} (one worker): a ModelGroup of two models for each case, `timeouts` {DEADLINE_MS} ms each, "
    f"`circuit: {{failures: {FAILURES}, recovery: 10m}}`, else defaults"
)


@contextmanager
def turnout(_: Path, folder: Path, providers: Stage) -> Iterator[Gateway]:
    """A router with a group for each case."""
    home = folder / "router"
    home.mkdir()
    router = Router(home).start(*providers.manifests())
    yield Gateway("Turnout", f"{router.url}/v1", token("app"))
    router.stop()


Start = Callable[[Path, Path, Stage], AbstractContextManager[Gateway]]

CONTENDERS: dict[str, tuple[Start, str]] = {
    "Turnout": (turnout, TURNOUT_SAYS),
    "LiteLLM": (peers.litellm, peers.LITELLM_SAYS),
    "Portkey": (peers.portkey, peers.PORTKEY_SAYS),
}


def run(start: Start, packages: Path) -> Results:
    """Every case through one gateway, one after the other. The providers are fresh."""
    with tempfile.TemporaryDirectory() as folder, stage() as providers, start(packages, Path(folder), providers) as one:
        return asyncio.run(_all(one, providers))


async def _all(gateway: Gateway, providers: Stage) -> Results:
    results: Results = {}
    for case in CASES:
        results[case.name] = await measure(gateway, providers, case)
        print(f"{gateway.name:<8} {case.name:<30} {cell(results[case.name])}", file=sys.stderr)
    return results


def cell(calls: list[Call]) -> str:
    """What came of one case: what the client saw, milliseconds, attempts at primary + fallback, the circuit."""
    first = calls[0]
    words = [f"{WORDS[first.saw]} {first.status or ''}".strip(), f"{first.seconds * 1000:.0f} ms"]
    words.append(f"{'?' if first.primary is None else first.primary}+{first.fallback}")
    opens = next((n for n, call in enumerate(calls) if call.primary == 0), None)
    if opens is not None:
        words.append(f"opens after {opens}")
    return ", ".join(words)


def right(case: Case, call: Call) -> bool:
    """Whether the client was served as well as can be: by an answer, or by an honest end where there can be none."""
    if call.saw in (Saw.FALLBACK, Saw.PRIMARY):
        return True
    row = expected(case)
    return call.saw is row.saw and call.status == row.status


def summary(results: dict[str, Results]) -> Iterator[str]:
    """Counts over all cases."""
    yield "| of " + f"{len(CASES)} cases | " + " | ".join(results) + " |"
    yield "|---|" + "--:|" * len(results)
    firsts = {name: [(case, found[case.name][0]) for case in CASES] for name, found in results.items()}
    count = {name: Counter(call.saw for _, call in calls) for name, calls in firsts.items()}
    served = [sum(right(case, call) for case, call in calls) for calls in firsts.values()]
    yield _row("served as well as can be", served)
    needless = [sum(c.saw in (Saw.ERROR, Saw.BROKEN) and not right(k, c) for k, c in v) for v in firsts.values()]
    yield _row("an error though there was an answer to be had, or the wrong error", needless)
    yield _row("no answer, and no error: taken for whole", [c[Saw.WRONG] for c in count.values()])
    yield _row("pieces of two answers joined", [c[Saw.JOINED] for c in count.values()])
    yield _row(f"hung: nothing within {PATIENCE:g} s", [c[Saw.HUNG] for c in count.values()])
    failing = [case.name for case in CASES if case.fault.counted and expected(case).opens is not None]
    again = [sum(_asks_again(found[name]) for name in failing) for found in results.values()]
    yield _row(f"still asks the primary in call {CALLS}, which has only failed (of {len(failing)})", again)


def _asks_again(calls: list[Call]) -> bool:
    """Whether the primary is still asked though it has given no answer before."""
    return (calls[-1].primary or 0) > 0 and calls[0].saw is not Saw.PRIMARY


def _row(says: str, numbers: list[int]) -> str:
    return f"| {says} | " + " | ".join(map(str, numbers)) + " |"


def table(results: dict[str, Results]) -> Iterator[str]:
    """A line for each case, under the headings of the catalogue."""
    for heading, faults in GROUPS.items():
        yield from (f"### {heading}", "", "| the primary | asked for | " + " | ".join(results) + " |")
        yield "|---|---|" + "---|" * len(results)
        for case in (case for case in CASES if case.fault in faults):
            cells = " | ".join(cell(found[case.name]) for found in results.values())
            yield f"| {case.fault.says} | {'stream' if case.stream else 'JSON'} | {cells} |"
        yield ""


def document(results: dict[str, Results], missing: dict[str, str]) -> str:
    """The whole of docs/faults.md."""
    parts = [
        "# What clients see when providers fail",
        "",
        f"Written by `tests/bench/bench_faults.py`: {sum(map(len, GROUPS.values()))} faults of a primary, with a good",
        "fallback behind it, asked by the `openai` SDK without retries of its own, all gateways in one run on one",
        "machine. For Turnout each line is also a test (`tests/faults`), with the expected outcome in `expected.py`.",
        "",
        *(f"- {CONTENDERS[name][1]}." for name in results),
        *(f"- {name} is left out: {why}." for name, why in missing.items()),
        "",
        *summary(results),
        "",
        "## Each fault",
        "",
        "A cell is the first call of its case: what the client saw, how long it took, attempts at primary + fallback",
        "(`?`: the fault strikes before anybody could count), and after how many calls the primary was left alone.",
        "",
        "- *fallback*, *primary*: the whole answer of that one. *error*: the SDK raised before any content, with that",
        "  status. *raised*: the SDK raised after the first content, so that the program knows that it has a part.",
        "- ***wrong***: the program got something that is no whole answer, and no error of the SDK. ***joined***: the",
        "  fallback's answer behind the beginning of the primary's. ***hung***: no end within the client's patience of",
        f"  {PATIENCE:g} s; the gateways' deadlines are {DEADLINE_MS} ms.",
        "- The fallback answers whatever it is asked, also what a real one would refuse as the client's own mistake.",
        "",
        *table(results),
    ]
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--only", default=",".join(CONTENDERS))
    options = parser.parse_args()
    results: dict[str, Results] = {}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only.split(","):
            try:
                results[name] = run(CONTENDERS[name][0], options.packages or Path(folder))
            except (OSError, subprocess.CalledProcessError, AssertionError) as error:
                missing[name] = f"it could not be installed or started here ({type(error).__name__})"
                print(f"{name}: {error}", file=sys.stderr)
    text = document(results, missing)
    print(text)
    if options.file:
        options.file.parent.mkdir(exist_ok=True)
        options.file.write_text(text)


if __name__ == "__main__":
    main()
