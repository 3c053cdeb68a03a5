"""How well limits of keys hold over several routers: each for itself, split by Envoy's local cluster, and by its rate
limit service. Prints the table of docs/limits.md; takes about nine minutes, and root, or mount namespaces.

.venv/bin/python tests/bench/bench_limits.py [KIND …]      KIND: each, split, service
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness.asking import post
from harness.background import Background
from harness.manifests import group, key
from harness.nameserver import NameServer, resolving_by
from harness.providers import Provider
from harness.ratelimits import RateLimits, seconds_left
from harness.router import Router, eventually
from turnout.xds.limits import RateLimitService, Sharing

COUNTS = (1, 2, 4)
KINDS = {"each": "each for itself", "split": "split evenly", "service": "rate limit service"}
PEERS = "peers.test"
LIMIT = 120
"""Requests, or thousands of tokens, a minute."""
LATER = 20.0
"""Seconds of overload after the first burst, for limits that flow."""
TOKENS = 1000
PROMPT = 23
"""Tokens that a request of this bench is thought to have besides its max_tokens."""


@dataclass(frozen=True)
class Case:
    """One key, and how it asks."""

    name: str
    what: str
    limits: dict[str, int]
    allowed: float
    """Requests that the limit allows in a minute."""
    tokens: int = 1
    pinned: bool = False
    brief: bool = False
    """Only the burst."""


TPM = {"tokensPerMinute": LIMIT * TOKENS}
CASES = (
    Case("a-rpm", "requests, new connections", {"requestsPerMinute": LIMIT}, LIMIT),
    Case("a-tpm", "tokens, new connections", TPM, LIMIT, TOKENS),
    Case("b-rpm", "requests, one connection", {"requestsPerMinute": LIMIT}, LIMIT, pinned=True),
    Case("b-tpm", "tokens, one connection", TPM, LIMIT, TOKENS, pinned=True),
    Case("d-three", "limit of 3 requests", {"requestsPerMinute": 3}, 3, brief=True),
    Case("d-one", "limit of 1 request", {"requestsPerMinute": 1}, 1, brief=True),
    Case("d-large", "requests of 30 % of the tokens", TPM, 1 / 0.3, int(LIMIT * TOKENS * 0.3), brief=True),
)
EXTRA = Case("c-rpm", "", {"requestsPerMinute": LIMIT}, LIMIT)
"""For the change of the number of routers."""


class Fleet:
    """Routers that share limits, and the name by which they count each other."""

    def __init__(
        self, folder: Path, kind: str, count: int, background: Background, provider: Provider, port: int
    ) -> None:
        self.kind, self.names = kind, NameServer(background, ttl=1)
        self.addresses = [f"127.0.1.{n + 1}" for n in range(count)]
        self.show(count)
        service = RateLimitService("127.0.0.1", port, f"{kind}-{count}-{time.time_ns()}") if kind == "service" else None
        sharing = Sharing("" if kind == "each" else PEERS, service)
        keys = [key(c.name, limits=c.limits) for c in (*CASES, EXTRA)]
        spec = {"circuit": {"failures": 1000}}
        self.routers = []
        for n in range(count):
            (folder / str(n)).mkdir(parents=True)
            router = Router(folder / str(n), before=resolving_by(self.names, folder / str(n)), sharing=sharing)
            self.routers.append(router.start(group("assistant", provider.manifest, **spec), *keys, provider.secret))
        self.settled(count)

    def show(self, count: int) -> None:
        """Let so many routers be found by their name."""
        self.names.addresses[PEERS] = self.addresses[:count]

    def settled(self, count: int) -> None:
        """Wait until each router counts so many."""
        if self.kind == "split":
            stat = "cluster.peers.membership_total"
            eventually(lambda: all(r.stats(stat).get(stat) == count for r in self.routers), within=30)

    def stop(self) -> None:
        """End all."""
        for router in self.routers:
            router.stop()
        self.names.close()


def asker(fleet: Fleet, case: Case, routers: int) -> Callable[[], bool]:
    """One request of the case, whether it passed: round the routers on new connections, or always on one."""
    kept = fleet.routers[0].http(case.name)
    turn, lock = iter(range(10**9)), threading.Lock()

    def ask() -> bool:
        fields = {"max_tokens": max(1, case.tokens - PROMPT)}
        if case.pinned:
            return post(kept, **fields).status_code == 200
        with lock:
            router = fleet.routers[next(turn) % routers]
        headers = dict(kept.headers)
        with httpx.Client(base_url=router.url, headers=headers, verify=False, timeout=20) as http:
            return post(http, **fields).status_code == 200

    return ask


def burst(ask: Callable[[], bool], case: Case, routers: int) -> tuple[int, float]:
    """As many at once as any way to share could let through, and some: so many passed, in so many seconds."""
    count = int(case.allowed * routers * 1.1) + 10
    began = time.monotonic()
    with ThreadPoolExecutor(1 if case.pinned else 4) as pool:
        passed = sum(pool.map(lambda _: ask(), range(count)))
    return passed, time.monotonic() - began


def overload(ask: Callable[[], bool], case: Case, routers: int, seconds: float) -> int:
    """Twice as many as any way to share could let through, evenly over the time: so many passed."""
    pace = 60 / (case.allowed * routers * 2)
    began, passed, n = time.monotonic(), 0, 0
    while (left := began + n * pace - time.monotonic()) < seconds and n * pace < seconds:
        time.sleep(max(0.0, left))
        passed += ask()
        n += 1
    return passed


def measure(fleet: Fleet, case: Case) -> tuple[float, float | None]:
    """Percent of the limit that passed: at once, less what came back meanwhile, and in a later minute.

    The service has minutes of the clock, which come back at once: there the later one is a second burst.
    """
    routers = len(fleet.routers)
    ask = asker(fleet, case, routers)
    passed, took = burst(ask, case, routers)
    if fleet.kind == "service":
        time.sleep(seconds_left() + 0.2)
        again, _ = burst(ask, case, routers)
        return passed / case.allowed * 100, again / case.allowed * 100
    met = 1 if case.pinned else routers
    refilled = took / 60 * (met if fleet.kind == "each" else met / routers)
    first = max(0.0, passed / case.allowed - refilled) * 100
    if case.brief:
        return first, None
    return first, overload(ask, case, routers, LATER) * (60 / LATER) / case.allowed * 100


def scaled(fleet: Fleet) -> str:
    """From 2 to 4 routers under load: what passes before and after, in percent of what the limit allows."""
    fleet.show(2)
    fleet.settled(2)
    before, after = asker(fleet, EXTRA, 2), asker(fleet, EXTRA, 4)
    burst(before, EXTRA, 2)
    steady = overload(before, EXTRA, 4, 10)
    fleet.show(4)
    during = [overload(after, EXTRA, 4, 10) for _ in range(3)]
    part = EXTRA.allowed / 6
    return f"{steady / part:.0%} before, then {', '.join(f'{n / part:.0%}' for n in during)} (10 s each)"


@contextmanager
def fleet_of(kind: str, count: int, background: Background, provider: Provider, port: int) -> Iterator[Fleet]:
    """So many routers that share limits in that way."""
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder), kind, count, background, provider, port)
        try:
            yield fleet
        finally:
            fleet.stop()


def main(kinds: list[str]) -> None:
    """Print a row for each case, with a column for each way and number of routers."""
    background = Background()
    provider = Provider(background, "one")
    rows: dict[str, list[str]] = {c.name: [] for c in CASES}
    with tempfile.TemporaryDirectory() as folder:
        service = RateLimits(Path(folder)) if "service" in kinds else None
        for kind in kinds:
            for count in COUNTS:
                with fleet_of(kind, count, background, provider, service.port if service else 0) as fleet:
                    if kind == "service":
                        time.sleep(seconds_left() + 0.2)
                    with ThreadPoolExecutor(len(CASES)) as pool:
                        found = list(pool.map(lambda c, f=fleet: measure(f, c), CASES))
                    for case, (first, later) in zip(CASES, found, strict=True):
                        rows[case.name].append(f"{first:.0f}" if later is None else f"{first:.0f} / {later:.0f}")
                        print(kind, count, case.name, rows[case.name][-1], flush=True)
                    if count == 4 and kind == "split":
                        print(kind, "2 to 4 routers:", scaled(fleet), flush=True)
        if service:
            service.kill()
    print("|  |" + "".join(f" {KINDS[k]}, {n} |" for k in kinds for n in COUNTS))
    print("|---" * (1 + len(kinds) * len(COUNTS)) + "|")
    for case in CASES:
        print(f"| {case.what} | {' | '.join(rows[case.name])} |")
    background.close()


if __name__ == "__main__":
    main(sys.argv[1:] or list(KINDS))
