"""One namespace in which rotations are disturbed: an operator behind a proxy, two routers, two programs, a watcher."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from crash.admin import Admin
from crash.api_proxy import ApiProxy, Forward, Write
from crash.install import CONSUMERS, COPY, KEY, SECRET, install, scoped_key
from crash.operators import Nursery, kill
from crash.pods import RouterPod
from crash.programs import Program
from harness.cluster import ApiServer
from harness.manifests import Manifest, group, model
from turnout.api.scopedkey import TokenState
from turnout.apply import keyring
from turnout.decide.issued import Issued
from turnout.infra.labels import KEYRING, ROUTER

HEALTH_PORT = 18100
QUIET_S = 0.6
"""Seconds without a write after which an operator has nothing more to do: three times its debouncing."""
SILENT_S = 2.0
"""Seconds without a write after which it is worth asking whether all is over; statuses are written last."""
NO_ANSWER = 0
"""In place of an answer's status."""

Disturb = Callable[["Lane", Write, Forward], Awaitable[web.StreamResponse]]
"""What happens to one write."""


class Lane:
    """Runs one disturbed rotation after the other.

    Attributes:
        refused: what a program or reader of the Secret was told, if it was not let in.
        writes: those of the operator since the last rotation was asked for.
        tokens: those that there were until the disturbance.
    """

    secrets: tuple[str, ...] = (SECRET, COPY)
    """Those of its key. They are written at one time, so that none is the last."""
    patience_s: float = 60.0
    """For what takes a second or two, or ten on a slow machine; then something hangs."""

    def __init__(self, api: ApiServer, nursery: Nursery, folder: Path, number: int) -> None:
        self.namespace = f"crash-{number}"
        self.refused: list[str] = []
        self.writes: list[Write] = []
        self.tokens: set[str] = set()
        self._api, self._nursery, self._folder = api, nursery, folder
        self.admin = Admin(api.plane, self.namespace)
        self._proxy = ApiProxy(self._handle)
        self._http = httpx.AsyncClient(timeout=5)
        self._addresses = [f"127.0.{number + 1}.{n}" for n in (2, 3)]
        self.routers: list[RouterPod] = []
        self.programs = {n: Program(self.admin, n, s) for n, s in zip(CONSUMERS, (SECRET, COPY), strict=True)}
        self._clock = folder / "clock"
        self._pid = 0
        self._one = asyncio.Lock()
        self._disturb: tuple[str, int, Disturb] | None = None
        self._last_write = 0.0
        self._number, self._numbers = number, 0
        self._trigger = ""
        self._watching = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make the namespace, the operator with its rights, its routers and the programs."""
        self._clock.write_text("0")
        await self._proxy.start()
        server = f"http://127.0.0.1:{self._proxy.port}"
        await asyncio.to_thread(install, self._api, self.namespace, self._folder, self.documents(), server=server)
        self.start_operator()
        await self.until(lambda: self.admin.find(f"secrets/{ROUTER}"), "files for routers")
        self.routers = [RouterPod(self.admin, self._folder, address) for address in self._addresses]
        await asyncio.gather(*(router.start() for router in self.routers))
        for name in self.secrets:
            await self.until(lambda name=name: self.admin.find(f"secrets/{name}"), f"the key's Secret '{name}'")
        for program in self.programs.values():
            await program.create()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End all of it."""
        self._watcher.cancel()
        self.kill_operator()
        await asyncio.gather(*(router.stop() for router in self.routers))
        await self._proxy.stop()
        await self._http.aclose()
        await self.admin.close()

    async def disturbed(self, what: str, nth: int, disturb: Disturb) -> bool:
        """Ask for a rotation, and disturb the n-th of its writes of that kind, counted from 1; whether it came to that.

        Returns when the disturbance is over, or when the rotation ended without so many writes.
        """
        assert not self._watcher.done(), f"nobody watches the consumers any more: {self._watcher}"
        await self.quiet()
        self.writes, self.refused, self.tokens = [], [], await self.held()

        async def act(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
            self.tokens |= {token.token.get_secret_value() for token in (await self.issued()).tokens}
            return await disturb(lane, write, forward)

        async def over() -> bool:
            have = await self._settled()
            return have is not None and have.trigger == self._trigger

        done, self._watching = self.arm(what, nth, act), True
        await self.rotate()
        return await self.came_to(done, over)

    def arm(self, what: str, nth: int, disturb: Disturb) -> asyncio.Event:
        """Have the n-th write of that kind disturbed, of those to come; what is set when that is over."""
        done = asyncio.Event()

        async def once(lane: Lane, write: Write, forward: Forward) -> web.StreamResponse:
            try:
                return await disturb(lane, write, forward)
            finally:
                done.set()  # at once: the handler of a request whose sender died is cancelled

        self._disturb = (what, nth, once)
        return done

    async def came_to(self, done: asyncio.Event, over: Callable[[], Awaitable[bool]]) -> bool:
        """Wait for the disturbance, or until all is over without it; whether it came to that. It cannot come later:
        nobody would start an operator again that it kills.
        """

        async def either() -> bool:
            return done.is_set() or (self._silent_for(SILENT_S) and await over())

        try:
            await self.until(either, "the disturbance, or an end without it")
        finally:
            self._disturb = None
        return done.is_set()

    async def rotate(self) -> None:
        """Ask for one rotation more."""
        self._numbers += 1
        self._trigger = f"{self.namespace}-{self._numbers}"
        await self.admin.patch(f"scopedkeys/{KEY}", {"spec": scoped_key(self._trigger)["spec"]})

    async def ended(self) -> None:
        """Wait until the rotation that was asked for last is not under way any more."""

        async def over() -> bool:
            have = await self.issued()
            return have.rotation is None and have.trigger == self._trigger

        await self.until(over, "the rotation's end")

    async def settled(self) -> Issued:
        """What is kept of the key, when no rotation is under way and one token is left, which every consumer has."""
        found: Issued = await self.until(self._settled, "one token that every consumer has")
        return found

    async def _settled(self) -> Issued | None:
        have = await self.issued()
        ended = have.rotation is None and [t.state for t in have.tokens] == [TokenState.ACTIVE]
        return have if ended and await self.held() == {have.tokens[0].token.get_secret_value()} else None

    async def until(self, check: Callable[[], Awaitable[Any]], what: str, *, patience_s: float = 0.0) -> Any:
        """The first true answer. Raises AssertionError with what there is to know."""
        clock, patience_s = asyncio.get_running_loop().time, patience_s or self.patience_s
        end = clock() + patience_s
        while not (found := await check()):
            if clock() > end:
                raise AssertionError(f"not within {patience_s:.0f} s: {what}: {await self.issued()}\n{self.log()}")
            await asyncio.sleep(0.05)
        return found

    async def issued(self) -> Issued:
        """What the keyring has of the key."""
        return keyring.read(await self.admin.find(f"secrets/{KEYRING}")).get(KEY, Issued())

    async def held(self) -> set[str]:
        """Tokens of the programs, and of both Secrets."""
        programs = list(self.programs.values())
        return {*[await program.secret() for program in programs], *(program.token for program in programs)}

    async def readmitted(self) -> None:
        """A key that was dead is well again: programs start anew with what the Secret holds."""

        async def let_in() -> bool:
            found = [await self.admin.find(f"secrets/{name}") for name in (SECRET, COPY)]
            tokens = {await program.secret() for program in self.programs.values()} if all(found) else set()
            return bool(tokens) and all([await self.answers(token) == {200} for token in tokens])

        await self.until(let_in, "a new token in the Secret")
        for program in self.programs.values():
            program.changed()
        await self.settled()

    async def start_anew(self) -> None:
        """After something went wrong: kill the operator, start it, and wait until all is well."""
        self.start_operator()
        for program in self.programs.values():
            program.changed()
        with contextlib.suppress(AssertionError, httpx.HTTPError):
            await self.settled()

    async def answers(self, token: str) -> set[int]:
        """What the routers say to a token, or NO_ANSWER: one that goes may do so at any moment."""
        urls = [f"{router.url}/v1/models" for router in self.routers if router.serving]
        return {await self._status(url, token) for url in urls}

    async def _status(self, url: str, token: str) -> int:
        try:
            return (await self._http.get(url, headers={"authorization": f"Bearer {token}"})).status_code
        except httpx.TransportError:
            return NO_ANSWER

    async def quiet(self) -> None:
        """Wait until what happens beside is over, as one router must have come before the next goes, and the operator
        has nothing more to write. Raises what went wrong beside.
        """
        tasks, self._tasks = self._tasks, set()
        await asyncio.gather(*tasks)

        async def is_quiet() -> bool:
            return self._silent_for(QUIET_S)

        await self.until(is_quiet, "an operator that is done")

    def _silent_for(self, seconds: float) -> bool:
        return asyncio.get_running_loop().time() - self._last_write > seconds

    async def replace_router(self) -> None:
        """One router goes, another comes under its address."""
        old = self.routers.pop()
        await old.stop()
        new = RouterPod(self.admin, self._folder, self._addresses[1])
        await new.start()
        self.routers.append(new)

    def set_clock(self, seconds: float) -> None:
        """The operator's time of day is wrong by so much from now on."""
        self._clock.write_text(str(seconds))

    @property
    def operator(self) -> int:
        """Its process id; 0: it is dead."""
        return self._pid

    def unwatched(self) -> None:
        """From now on consumers may be refused: their key was taken from them on purpose."""
        self._watching = False

    def start_operator(self) -> None:
        """Start it; it does not wait. There is never more than one."""
        self.kill_operator()
        env = {
            "KUBECONFIG": str(self._folder / "kubeconfig"),
            "TURNOUT_NAMESPACE": self.namespace,
            "TURNOUT_PORT": str(HEALTH_PORT + self._number),
            "TURNOUT_SCRAPE_S": "0.5",
            "TURNOUT_LOG_LEVEL": "INFO",
        }
        self._pid = self._nursery.start(env, log=self._folder / "operator.log", clock=self._clock)

    def kill_operator(self) -> None:
        """As a crash does."""
        pid, self._pid = self._pid, 0
        if pid:
            kill(pid)

    def log(self) -> str:
        """The end of the operator's log."""
        return "\n".join((self._folder / "operator.log").read_text().splitlines()[-30:])

    async def _handle(self, write: Write, forward: Forward) -> web.StreamResponse:
        sender = self._pid
        async with self._one:
            if sender != self._pid or not sender:
                raise ConnectionError("its sender is dead")
            self._last_write = asyncio.get_running_loop().time()
            self.writes.append(write)
            disturb = None
            if self._disturb and self._disturb[:2] == (write.what, sum(w.what == write.what for w in self.writes)):
                disturb, self._disturb = self._disturb[2], None
            answer = await (disturb(self, write, forward) if disturb else self.passed_on(write, forward))
            self._last_write = asyncio.get_running_loop().time()
            return answer

    async def passed_on(self, write: Write, forward: Forward) -> web.StreamResponse:
        """The API server's answer; kubelets and controllers see what was written."""
        answer = await forward()
        plural, _, name = write.where.partition("/")
        if answer.status < 300 and plural == "pods":
            self.beside(*(router.refresh() for router in self.routers if router.name == name))
        if answer.status < 300 and plural == "deployments" and name in self.programs:
            self.programs[name].changed()
        return answer

    def beside(self, *work: Coroutine[Any, Any, None]) -> None:
        """Let it happen while the operator goes on."""
        self._tasks |= {asyncio.create_task(one) for one in work}

    async def _watch(self) -> None:
        """Every consumer is let in by every router, all the time. A Secret that is not there any more, or a router, has
        refused nobody.
        """
        while True:
            await asyncio.sleep(0.1)
            if self._watching:
                with contextlib.suppress(httpx.HTTPError):
                    await self._look()

    async def _look(self) -> None:
        for token in await self.held():
            answers = await self.answers(token)
            if answers - {200, NO_ANSWER} and token in await self.held() and self._watching:
                self.refused.append(f"{sorted(answers)} after {len(self.writes)} writes")

    def documents(self) -> list[Manifest]:
        """What users wrote."""
        return [group("assistant", model("a", "http://a.invalid/v1")), scoped_key()]
