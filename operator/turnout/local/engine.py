"""Manifests → a running configuration: compiled, published to Envoy, read back, and reported as statuses.

The laptop's counterpart of watch.worker: the same decide, render and status code, with DIR/.turnout in place of the
cluster and one Envoy in place of pods.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from turnout.api import CanaryRollout
from turnout.api.problems import KINDS
from turnout.apply.keyring import Keyring
from turnout.decide.build import Decision
from turnout.decide.canary.state import State
from turnout.decide.evidence import Look
from turnout.decide.facts import Uses
from turnout.decide.ir import Router
from turnout.decide.keys import is_spent
from turnout.decide.quarantine import Quarantine
from turnout.decide.rollouts import States
from turnout.decide.snapshot import Snapshot
from turnout.decide.usage import Ledger
from turnout.errors import ScrapeError, UsageError
from turnout.infra.observation import ConfigState, Observation, Programmed
from turnout.infra.redaction import secrets_of
from turnout.infra.status import Moment
from turnout.local import files
from turnout.local.checks import findings, objects
from turnout.local.clock import Clock
from turnout.local.compiling import compile_manifests
from turnout.local.documents import Mistake
from turnout.local.envoy import Envoy
from turnout.local.home import Home
from turnout.local.manifests import Manifest
from turnout.local.rollouts import Rollouts
from turnout.local.rotator import due_at, moved
from turnout.local.statuses import write_statuses
from turnout.observe.rotations import tell_all
from turnout.observe.scrape import read_config
from turnout.xds.compile import Compiled
from turnout.xds.place import Place
from turnout.xds.render import Files

LOOK_S = 0.02
"""Seconds between two looks at what Envoy runs, while something new is on its way."""
SETTLE_S = 10.0
"""Seconds within which Envoy takes a configuration up, or refuses it; it takes about 0.05."""
START_S = 20.0
"""Seconds within which Envoy serves after its start; it takes about 0.5. Above its own initial_fetch_timeout of 15."""


@dataclass(frozen=True)
class Settings:
    """What does not change while it runs. url: OPENAI_BASE_URL for programs on this machine."""

    namespace: str
    place: Place
    url: str


class Engine:
    """Keeps one Envoy as the manifests say."""

    def __init__(self, settings: Settings, home: Home, envoy: Envoy, http: httpx.AsyncClient, clock: Clock) -> None:
        """clock: that of rollouts."""
        self._settings = settings
        self._home = home
        self._envoy = envoy
        self._http = http
        self._rollouts = Rollouts(home, clock)
        self._states: States = {}
        self._issued: Keyring = home.issued()
        self._told: Keyring = self._issued
        self._ledger = home.ledger()
        self._published: Files | None = None
        self._previous = home.last_good(settings.namespace)
        self._manifests: list[Manifest] = []
        self._state = Snapshot(settings.namespace)
        self._decision: Decision | None = None
        self._progress = Programmed("", 0, 0)
        self._quarantine = Quarantine()
        self._due_at: datetime | None = None
        self._refused = False
        self._refusals: Mapping[str, int] = {}

    @property
    def router(self) -> Router:
        """What Envoy runs."""
        return self._previous or Router(namespace=self._settings.namespace)

    @property
    def issued(self) -> Keyring:
        """What was issued and is kept."""
        return self._issued

    @property
    def version(self) -> str:
        """The version that Envoy runs; empty before the first."""
        return self._published.version if self._published else ""

    def compile(self, manifests: Iterable[Manifest]) -> Compiled:
        """Decide and render. Tokens are kept before they are used."""
        self._manifests, now = list(manifests), datetime.now(UTC)
        ours = [manifest for manifest in self._manifests if manifest.kind in KINDS]
        self._rollouts.follow(m.name for m in self._manifests if m.kind == "CanaryRollout")
        self._states = self._rollouts.publishable
        result = compile_manifests(
            self._manifests,
            self._settings.namespace,
            issued=self._issued,
            metadata={(m.kind, m.name): self._home.metadata(m.kind, m.name, m.spec, now=now) for m in ours},
            previous=self._previous,
            place=self._settings.place,
            now=now,
            quarantine=self._quarantine,
            ledger=self._ledger,
            rollout_states=self._states,
        )
        self._keep(result.issued)
        self._state = result.state
        return result.compiled

    def mistakes(self, compiled: Compiled) -> list[Mistake]:
        """What decide found wrong with what was compiled last, and what Envoy refused of it, at its lines."""
        documents = objects(self._manifests)
        refused = [
            documents["ModelGroup", name].mistake("", f"Envoy refuses ModelGroup '{name}': {why}")
            for name, why in self._quarantine.reasons.items()
        ]
        return [*findings(compiled.decision.verdicts, self._state, documents), *refused]

    def runs(self, compiled: Compiled) -> bool:
        """Whether Envoy runs this already."""
        return self._published is not None and self._published.version == compiled.files.version

    def adopt(self, compiled: Compiled) -> None:
        """Take note of a decision that changes nothing for Envoy."""
        self._rollouts.published(self._states)
        self._decision = compiled.decision
        self._progress = Programmed(compiled.files.version, 1, 1)
        self._home.hand_out(self._settings.namespace, compiled.decision.keys, self._settings.url)

    async def publish(self, compiled: Compiled) -> Programmed:
        """Have Envoy run it. What Envoy refuses is taken back: it may have taken up some files and refused others.

        Starts Envoy if it does not run yet. Raises UsageError if Envoy ends.
        """
        before = self._published
        starting = not self._envoy.running
        if not starting:
            await self._config()
        rejected = self._refusals
        files.swap(self._folder, compiled.files.version, compiled.files.data)
        if starting:
            await self._envoy.start()
        self._progress = await self._settle(compiled, rejected, START_S if starting else SETTLE_S)
        self._decision = compiled.decision
        if not self._progress.done:
            if before is not None:
                files.swap(self._folder, before.version, before.data)
            return self._progress
        self._published, self._previous = compiled.files, compiled.decision.router
        self._tell()
        self._rollouts.published(self._states)
        self._home.save_last_good(compiled.decision.router)
        self._home.hand_out(self._settings.namespace, compiled.decision.keys, self._settings.url)
        return self._progress

    def hold(self, compiled: Compiled) -> bool:
        """After a refusal, keep back the groups that may be to blame; whether compiling again leads on."""
        why = self._progress.rejection
        return self._refused and why is not None and self._quarantine.add(compiled.decision.router, self._previous, why)

    async def rotate(self, uses: Uses) -> bool:
        """Take keys in motion one step on, if Envoy runs what it shall; whether that calls for compiling again."""
        if self._decision is None or not self._progress.done:
            return False
        changed = await moved(self._http, self._settings.url, self._decision, uses)
        self._keep({**self._issued, **changed})
        self._due_at = due_at(self._decision, datetime.now(UTC))
        return bool(changed)

    @property
    def rollouts(self) -> Sequence[tuple[CanaryRollout, State]]:
        """Each with how it stands, as its status tells it."""
        if self._decision is None:
            return ()
        stand = self._decision.with_rollouts(self._rollouts.tellable).rollouts
        return [stand[name] for name in sorted(stand)]

    def judge(self, look: Look | None) -> bool:
        """Take rollouts on, by what Envoy counted; whether something of them changed that is no figure."""
        if self._decision is None or not self._state.rollouts:
            return False
        running = self._previous if self._progress.done else None
        return self._rollouts.advance(self._state, self._decision, running, look)

    def counted(self, ledger: Ledger) -> None:
        """Keys have used that much."""
        self._ledger = ledger

    def due(self) -> bool:
        """Whether it is time to compile again: a key has died, is in motion, is due to rotate, its budget is used up or
        there is a new one, or a rollout has another weight.
        """
        now = datetime.now(UTC)
        ledger, keys = self._ledger.at(now), self._decision.keys if self._decision else ()
        spent = any(is_spent(state.key, ledger.of(state.name)) != state.spent for state in keys)
        return spent or self._rollouts.waits or (self._due_at is not None and self._due_at <= now)

    def _keep(self, issued: Keyring) -> None:
        if issued != self._issued:
            self._home.save_issued(self._settings.namespace, issued)
            self._issued = issued
            self._tell()

    def _tell(self) -> None:
        """Say what became of tokens, once Envoy serves: a start that fails has one line, which says why."""
        if self._published is not None:
            tell_all(self._told, self._issued)
            self._told = self._issued

    def write_statuses(self, seen: Observation) -> None:
        """Bring DIR/.turnout/status up to date, and what keys have used."""
        self._home.save_ledger(self._ledger)
        if self._decision is not None:
            refused, url = self._quarantine.reasons, self._settings.url
            states = dict(self._rollouts.tellable)
            decision = self._decision.with_rollouts(states)
            moment = Moment(decision, self._progress, refused, seen, url, datetime.now(UTC))
            write_statuses(self._home, self._settings.namespace, moment, self._manifests)
            self._rollouts.kept(states)

    @property
    def _folder(self) -> Path:
        return self._home.path / "xds"

    async def _settle(self, compiled: Compiled, before: Mapping[str, int], patience_s: float) -> Programmed:
        version = compiled.files.version
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience_s
        self._refused = False
        while clock() < deadline:
            if not self._envoy.running:
                raise UsageError(f"Envoy ended: {self._envoy.last_words()} (all of it: {self._envoy.log_file})")
            state = await self._config()
            if state.runs(version):
                return Programmed(version, 1, 1)
            unheard = self._published is None and not state.versions and self._rejection(compiled) is not None
            if unheard or state.rejects(version, before):
                self._refused = True
                break
            await asyncio.sleep(LOOK_S)
        why = self._rejection(compiled) or f"not taken up within {patience_s:g} s"
        return Programmed(version, 1, 0, rejection=why)

    async def _config(self) -> ConfigState:
        try:
            state = await read_config(self._http, self._envoy.url)
        except ScrapeError:
            return ConfigState({}, {})
        self._refusals = state.rejected
        return state

    def _rejection(self, compiled: Compiled) -> str | None:
        """Envoy's words about what it refuses; None while it has said nothing."""
        text = self._envoy.log_file.read_text(errors="replace")
        if "rejected: " not in text:
            return None
        from turnout.apply.publish import rejection  # late: it brings the Kubernetes client with it

        return rejection(text, secrets_of(compiled.decision.router))
