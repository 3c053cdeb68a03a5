"""A provider for the drills, as a process of its own that can be killed: latency, errors, a limit, an outage.

As a program it reads a Plan as JSON from its argument, prints its port and serves until killed. `GET /asked` tells
how many requests came in each second since its start, and how many of them were refused.
"""

import asyncio
import json
import math
import random
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, replace

import httpx
from aiohttp import web

from turnout.local.fakeprovider import answers


@dataclass(frozen=True)
class Plan:
    """How a provider behaves. Times are seconds; those of the outage count from its first request.

    Attributes:
        port: 0 = one that is free.
        seed: of latencies and errors.
        latency: mean, of errors too; an answer above the limit comes at once.
        spread: sigma of the log-normal distribution of latencies; 0 = always the mean.
        errors: least and most share of requests answered with 500; another share between them every `shift` seconds.
        limit: requests taken in any one second, the others get 429; 0 = no limit.
        retry_after: whole seconds, as 429 says them; 0 = it says none.
        outage: from when to when every request gets 503.
        tokens: read and written, as every answer reports.
    """

    name: str
    port: int = 0
    seed: int = 1
    latency: float = 0.1
    spread: float = 0.0
    errors: tuple[float, float] = (0.0, 0.0)
    shift: float = 10.0
    limit: int = 0
    retry_after: int = 0
    outage: tuple[float, float] = (0.0, 0.0)
    tokens: tuple[int, int] = (20, 40)


class Play:
    """What a plan makes of each request."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.asked: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._taken: deque[float] = deque()
        self._chance = random.Random(plan.seed)
        self._began: float | None = None
        self._started = time.monotonic()
        self._answer = json.dumps(_answer(plan)).encode()

    async def answer(self, request: web.Request) -> web.Response:
        """One chat call."""
        await request.read()
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        second = int(now - self._started)
        self.asked[second] += 1
        if not self._takes(now):
            self.refused[second] += 1
            return _error(429, **({"Retry-After": str(self.plan.retry_after)} if self.plan.retry_after else {}))
        status = self._status(now - self._began)
        await asyncio.sleep(self._latency())
        return _error(status) if status else web.Response(body=self._answer, content_type="application/json")

    async def tell(self, _: web.Request) -> web.Response:
        """What was asked."""
        return web.json_response({"started": self._started, "asked": self.asked, "refused": self.refused})

    def _takes(self, now: float) -> bool:
        while self._taken and self._taken[0] <= now - 1:
            self._taken.popleft()
        if self.plan.limit and len(self._taken) >= self.plan.limit:
            return False
        self._taken.append(now)
        return True

    def _latency(self) -> float:
        mean, sigma = self.plan.latency, self.plan.spread
        return self._chance.lognormvariate(math.log(mean) - sigma**2 / 2, sigma) if sigma else mean

    def _status(self, at: float) -> int:
        """The status of an error, or 0. Draws once whatever comes of it, so that outages shift no later draws."""
        share = random.Random(f"{self.plan.seed}/{at // self.plan.shift}").uniform(*self.plan.errors)
        unlucky = self._chance.random() < share
        if self.plan.outage[0] <= at < self.plan.outage[1]:
            return 503
        return 500 if unlucky else 0


class Provider:
    """A provider's process. `start` it, `kill` it, `start` it again: it keeps its port."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The base URL, as a ModelGroup names it."""
        return f"http://127.0.0.1:{self.plan.port}/v1"

    def start(self) -> "Provider":
        """Serve; returns when it listens."""
        command = [sys.executable, "-m", "bench.playing", json.dumps(asdict(self.plan))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.plan = replace(self.plan, port=int(self._process.stdout.readline()))
        return self

    def kill(self) -> None:
        """SIGKILL: what is under way is cut, and the port refuses connections."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def asked(self, since: float, until: float) -> list[int]:
        """Requests in each whole second between two moments of time.monotonic()."""
        told = httpx.get(f"http://127.0.0.1:{self.plan.port}/asked").json()
        first = math.ceil(since - told["started"])
        return [told["asked"].get(str(second), 0) for second in range(first, int(until - told["started"]))]


def _answer(plan: Plan) -> dict[str, object]:
    request = answers.Request(kind="chat", id="1", created=1, model=plan.name, provider=plan.name, prompt="")
    read, written = plan.tokens
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return {**answers.whole(request), "usage": usage}


def _error(status: int, **headers: str) -> web.Response:
    document = answers.error(status, f"This provider answers {status} now.")
    return web.json_response(document, status=status, headers=headers)


async def main(plan: Plan) -> None:
    """Serve until killed."""
    play = Play(plan)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", play.answer)
    app.router.add_get("/asked", play.tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", plan.port, backlog=1024, reuse_address=True).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    asyncio.run(main(Plan(**given)))
