"""One namespace: snapshot → decision → tokens → objects → configuration that runs → Secrets for programs → statuses.

A run is idempotent and begins with what the store holds, so whatever fails is just run again. What is slow (waiting for
routers, looking at them, writing statuses) never holds up the next configuration.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from turnout.apply import keyring
from turnout.apply.consumers import HandOut, hand_out
from turnout.apply.objects import Applier
from turnout.apply.publish import Publisher
from turnout.decide.build import Decision
from turnout.decide.canary.standing import Change
from turnout.decide.evidence import Look
from turnout.decide.ir import Router, dump, load
from turnout.decide.issued import Issued, ids
from turnout.decide.keys import is_spent
from turnout.decide.quarantine import Quarantine
from turnout.decide.rollouts import States
from turnout.decide.rotation import is_emergency
from turnout.decide.snapshot import Snapshot
from turnout.decide.verdict import Phase
from turnout.errors import ClusterError, ConflictError, ScrapeError
from turnout.infra.kinds import BY_NAME, POD, SCOPED_KEY
from turnout.infra.labels import KEYRING, STATE, Json
from turnout.infra.objects import decoded, files_secret, secret
from turnout.infra.observation import ConfigState, Observation, Programmed
from turnout.infra.pods import RouterPod, live_pods
from turnout.infra.redaction import secrets_of
from turnout.observe.rotations import tell_all
from turnout.observe.scrape import base_url, openai_url, read_config
from turnout.watch.books import Books
from turnout.watch.context import Context, now
from turnout.watch.failures import Failures
from turnout.watch.gather import Gatherer
from turnout.watch.pruner import Pruner
from turnout.watch.reporter import Outcome, Reporter
from turnout.watch.rollouts import Rollouts
from turnout.watch.rotator import Moved, move, next_look
from turnout.watch.routers import RouterObjects, tried
from turnout.watch.waker import Waker
from turnout.xds.compile import Compiled, compile_namespace
from turnout.xds.place import POD as PLACE

log = logging.getLogger(__name__)

NOT_BLOCKED: Mapping[str, str] = {}
STATE_FILE = "ir.json.gz"
SETTLE_RETRY_S = 5.0
UNFINISHED_AT_MOST_S = 10.0
"""Seconds for which changes that keep coming may put off reports, while routers are behind."""


class Worker:
    """Keeps one namespace as its resources say."""

    def __init__(self, context: Context, namespace: str) -> None:
        settings = context.settings
        self.namespace = namespace
        self.waker = Waker(quiet_s=settings.quiet_s, at_most_s=settings.at_most_s)
        self._context = context
        self._gatherer = Gatherer(context.store, namespace)
        self._applier = Applier(context.kube, self._live)
        self._objects = RouterObjects(context, namespace, self._applier)
        self.books = Books(context.store, namespace, self._applier)
        self.rollouts = Rollouts(context, namespace)
        self.reporter = Reporter(context, namespace, self.books, self.rollouts, self._kept)
        self._publisher = Publisher(context.kube, self._read_config, self._pods)
        self._pruner = Pruner(context, namespace)
        self._quarantine = Quarantine()
        self._previous: Router | None = None
        self._running: Router | None = None
        self._decided: tuple[Snapshot, Decision] | None = None
        self._look: Look | None = None
        self._states: States = {}
        self._fell_at: float | None = None
        self._loaded = False
        self._compiled: Compiled | None = None
        self._moved = Moved()
        self._failures = Failures(context, namespace)
        self._since = 0.0
        self._finished = 0.0

    def observe(self, seen: Observation) -> None:
        """The routers were looked at. A key whose budget was used up by what was seen must be refused now."""
        if seen.ledger is not None:
            self.books.ledger = seen.ledger
        self.reporter.observe(seen)
        self._look = seen.look
        self._advance_rollouts()
        keys = self._compiled.decision.keys if self._compiled else ()
        if any(is_spent(state.key, self.books.ledger.at(now()).of(state.name)) != state.spent for state in keys):
            self.waker.wake(urgent=True)

    @property
    def known(self) -> frozenset[str] | None:
        """Ids of the tokens that the keyring holds, those that routers may have among them; None: not read yet."""
        return ids(self._decided[0].issued) if self._decided else None

    def _advance_rollouts(self) -> None:
        """Decide on rollouts, by what was seen since the last time. A fall must reach routers now."""
        if self._decided is None:
            return
        (snapshot, decision), look, self._look = self._decided, self._look, None
        if not snapshot.rollouts:
            return
        change = self.rollouts.advance(snapshot, decision.verdicts, self._running, look)
        if change is not Change.FIGURES:
            self.reporter.decided()
        if change is Change.FALL:
            self._fell_at = self._fell_at or asyncio.get_running_loop().time()
        self._kept()

    def _kept(self) -> None:
        """Routers may be told more of rollouts than they were, perhaps."""
        if not self.rollouts.standing.is_published:
            self.waker.wake(urgent=True)

    async def run(self) -> None:
        """Work until the namespace is no concern any more."""
        while self._context.store.concerns_us(self.namespace):
            self._since = await self.waker.wait()
            self._context.health.begin(self.namespace)
            try:
                await self._run_once()
            except Exception as error:  # noqa: BLE001  (a bug is logged as one)
                self._failed(error)
            finally:  # one that failed, too: restarting the operator would not help against what a cluster denies
                self._context.health.done(self.namespace)
        self._context.health.forget(self.namespace)

    def _failed(self, error: Exception) -> None:
        self.waker.wake_in(self._failures.note(error))
        if self._compiled and (why := self._failures.words(error)):
            progress = Programmed(self._compiled.files.version, 0, 0, failure=why)
            self.reporter.report(Outcome(self._compiled.decision, progress, self._quarantine.reasons))

    async def _run_once(self) -> None:
        with self._context.metrics.reconcile.time():
            self._compiled = compiled = await self._compile()
            decision, version = compiled.decision, compiled.files.version
            written = False
            if decision.wants_router:
                written = await self._publish(compiled)
            else:
                await self._objects.end()
                await self._pruner.prune_router(keys=bool(decision.keys))
                self._previous = self._running = None
            self.rollouts.published(self._states)
        progress, error = Programmed(version, 0, 0), None
        if decision.wants_router:
            self._objects.begin()
            progress = await self._settle(compiled, written=written)
            error = await self._objects.error(self._interrupted)
        if progress.done:  # kept for the day on which it is the last good one
            state = secret(self.namespace, STATE, {STATE_FILE: dump(decision.router)})
            error = await tried(self._applier.apply(state)) or error
        await self._finish(decision, progress, error)

    async def _compile(self) -> Compiled:
        """Decide; issue and drop tokens until nothing is left to. They are kept before anything is done with them."""
        if not self._loaded:
            self._previous, self._loaded = self._load(), True
        while True:
            self.rollouts.follow()
            self._states = self.rollouts.standing.publishable
            snapshot, live = self._gatherer.snapshot(self.books.ledger, self._states), self._secret(KEYRING)
            compiled = await self._compile_snapshot(snapshot)
            decision = compiled.decision
            if decision.is_settled:
                self._decided = (snapshot, decision)
                self._advance_rollouts()
                if self.rollouts.standing.is_all(self._states):
                    return compiled
                continue
            waited = timedelta(seconds=asyncio.get_running_loop().time() - self._since)  # it is over for the dead, too
            issued = keyring.changed(snapshot.issued, decision, now=now() - waited)
            try:
                await keyring.save(self._context.kube, live, self.namespace, issued)
            except ConflictError:
                raise  # it is another by now, and its event is on the way
            except ClusterError:
                await self._publish_unkept(snapshot, decision)
                raise
            tell_all(snapshot.issued, issued, f"namespace {self.namespace}: ")

    async def _compile_snapshot(self, snapshot: Snapshot) -> Compiled:
        compiled = await self._compile_once(snapshot)
        self._quarantine.review(compiled.decision.router)
        return await self._compile_once(self._quarantine.apply(snapshot)) if self._quarantine.reasons else compiled

    async def _compile_once(self, snapshot: Snapshot) -> Compiled:
        return await asyncio.to_thread(compile_namespace, snapshot, self._previous, now=now(), place=PLACE)

    async def _publish_unkept(self, snapshot: Snapshot, decision: Decision) -> None:
        """The keyring cannot be written, so nothing new is issued; but what must die does, and what must fall does."""
        lost = {name: snapshot.issued.get(name, Issued()) for name in decision.mint}
        leaked = {name: have.killed(now()) for name, have in lost.items() if is_emergency(decision.mint[name], have)}
        compiled = await self._compile_snapshot(replace(snapshot, issued={**snapshot.issued, **leaked}))
        if compiled.decision.wants_router:
            written = await self._publish(compiled)
            self.rollouts.published(self._states)
            await self._settle(compiled, written=written)

    async def _publish(self, compiled: Compiled) -> bool:
        """Bring the configuration to the API server; whether it is a new one."""
        await self._publisher.begin(compiled.files.version)
        if self._running != compiled.decision.router:
            self._running = None
        return await self._applier.apply(files_secret(self.namespace, compiled.files.data))

    async def _settle(self, compiled: Compiled, *, written: bool) -> Programmed:
        """Wait for the routers."""
        router = compiled.decision.router
        progress = await self._publisher.settle(
            compiled.files.version,
            written=written,
            interrupted=self._interrupted,
            hide=secrets_of(router) | secrets_of(self._previous),
        )
        if progress.rejection and self._quarantine.add(router, self._previous, progress.rejection):
            log.warning("namespace %s: going back, a router refuses it: %s", self.namespace, progress.rejection)
            self.waker.wake(urgent=True)
        self._running = router if progress.done else None
        self._note_fall()
        if progress.done or not progress.routers:  # without a router nothing speaks against it
            self._previous = router
        if written and progress.done:
            took = asyncio.get_running_loop().time() - self._since
            self._context.metrics.publish.observe(took)
            words = "namespace %s: %d routers run %s, %.2f s after the change"
            log.info(words, self.namespace, progress.routers, progress.version[:12], took)
        return progress

    def _note_fall(self) -> None:
        if self._running is not None and self._fell_at is not None and self.rollouts.standing.is_published:
            took, self._fell_at = asyncio.get_running_loop().time() - self._fell_at, None
            self._context.metrics.fall.observe(took)
            log.info("namespace %s: no router draws for the canary, %.2f s after the decision", self.namespace, took)

    async def _finish(self, decision: Decision, progress: Programmed, error: ClusterError | None) -> None:
        """Hand out, tidy up, report, and set the alarm for the next time that something happens by itself.

        error: why an object beside the configuration could not be written; what routers run is not touched by it.
        """
        since = asyncio.get_running_loop().time() - self._finished
        if not progress.done and self.waker.pending and since < UNFINISHED_AT_MOST_S:
            return  # interrupted: the run that follows knows more
        self._finished += since
        context = self._context
        self._context.metrics.programmed.labels(self.namespace).set(progress.done)
        handed_out = HandOut(not decision.wants_router)
        if progress.done:
            keys = context.store.objects(self.namespace, SCOPED_KEY)
            uids = {name: key["metadata"]["uid"] for name, key in keys.items()}
            find = context.store.secret
            handed_out = await hand_out(context.kube, self._applier, decision, uids, find, self._interrupted)
            await self._rotate(decision, handed_out)
        self._advance_rollouts()
        if handed_out.done:  # a Secret that is renamed must not go before the new one is there
            await self._pruner.prune_consumers(decision, frozenset(handed_out.unwritten))
        if error is None:
            self._failures.end()
        waits = [self._failures.note(error)] if error else []
        told = replace(progress, failure=self._failures.words(error) or None) if error else progress
        blocked = self._moved.blocked if progress.done else NOT_BLOCKED
        self.reporter.report(Outcome(decision, told, self._quarantine.reasons, handed_out.unwritten, blocked))
        idle = self._moved.blocked.keys() | self._moved.waiting
        waits += [context.settings.resync_s, *(next_look(decision, idle, now()) if progress.done else ())]
        if handed_out.unwritten or (decision.wants_router and not progress.done):
            waits.append(SETTLE_RETRY_S)
        waits += [
            (state.expires_at - now() + timedelta(milliseconds=50)).total_seconds()
            for state in decision.keys
            if state.phase in {Phase.ACTIVE, Phase.ROTATING} and state.expires_at
        ]
        self.waker.wake_in(min(waits))

    async def _rotate(self, decision: Decision, handed_out: HandOut) -> None:
        """Take keys in motion one step on, and keep it before anything is done with it."""
        urls = [openai_url(pod) for pod in self._pods() if pod.ready]
        uses = self.reporter.seen.uses
        blocked = self._moved.blocked
        self._moved = moved = await move(self._context, decision, handed_out, uses, urls, blocked, self._interrupted)
        if moved.issued:
            live = self._secret(KEYRING)
            # As it is now: what was dropped meanwhile must not come back.
            kept = {name: moved.issued.get(name, have) for name, have in keyring.read(live).items()}
            await keyring.save(self._context.kube, live, self.namespace, kept)
            self.waker.wake(urgent=True)

    def _load(self) -> Router | None:
        """What was published last, by whichever operator; without it a broken group has no last good configuration."""
        state = self._secret(STATE)
        try:
            return load(decoded(state)[STATE_FILE]) if state else None
        except (ValueError, KeyError):
            log.warning("namespace %s: Secret %s is of another version; starting without it", self.namespace, STATE)
            return None

    def _interrupted(self) -> bool:
        return self.waker.pending

    def _live(self, obj: Json) -> Json | None:
        return self._context.store.get(obj["metadata"]["namespace"], BY_NAME[obj["kind"]], obj["metadata"]["name"])

    def _secret(self, name: str) -> Json | None:
        return self._context.store.secret(self.namespace, name)

    def _pods(self) -> tuple[RouterPod, ...]:
        found = live_pods(self._context.store.objects(self.namespace, POD).values(), now=now())
        return tuple(pod for pod in found if not pod.leaving)

    async def _read_config(self, pod: RouterPod) -> ConfigState:
        try:
            return await read_config(self._context.http, base_url(pod))
        except ScrapeError:
            self._context.metrics.scrape_errors.inc()
            raise
