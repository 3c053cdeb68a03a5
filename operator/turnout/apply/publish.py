"""A configuration → every router pod, and proof that it runs there.

The kubelet would carry a changed Secret into the pods within a minute or so; a changed annotation on the pod makes it
do so at once. That poke can overtake the kubelet's own news of the Secret, so what runs is read back, and who is behind
is poked again.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from turnout.apply.kube import Kube
from turnout.errors import ClusterError, ScrapeError
from turnout.infra.kinds import POD
from turnout.infra.labels import CONFIG
from turnout.infra.observation import ConfigState, Programmed
from turnout.infra.pod import CONTAINER
from turnout.infra.pods import RouterPod
from turnout.infra.redaction import redacted

log = logging.getLogger(__name__)

Read = Callable[[RouterPod], Awaitable[ConfigState]]

POKES_S = (0.0, 0.3, 0.8, 1.6, 3.0, 5.0, 8.0)
"""Seconds after which who is behind is poked. Source: the first poke sufficed within 0.05–0.15 s in most runs of
Kubernetes 1.34; the others are for when it overtook the Secret."""
GIVE_UP_S = 10.0
"""Seconds after which the caller is told how far it came, and tries again later."""
LOOK_S, LOOK_LATER_S = 0.03, 0.25
"""Seconds between two looks, in the first second and afterwards."""
ANSWER_S = 1.0
"""Seconds for a router to tell what it runs. A silent one must not keep a revoked key alive on the others."""
LOG_LINES = 100
READ_AGAIN_S = (0.1, 0.2, 0.3, 0.5)
"""Seconds between looks at the log of a router that has just refused something, until it says why: Envoy prints that at
once, but the line is in the log only when the container runtime has copied it. How late that may be is a guess."""
_REJECTED = re.compile(r"rejected: (?P<why>.+)", re.IGNORECASE)


class Publisher:
    """Brings the routers of one namespace to a version."""

    def __init__(self, kube: Kube, read: Read, pods: Callable[[], tuple[RouterPod, ...]]) -> None:
        """read: what a router runs, raising ScrapeError; pods: those that are there to stay, ready or not. Who is not
        ready is waited for by nobody, but it may still serve connections that it has, and is told.
        """
        self._kube = kube
        self._read = read
        self._pods = pods
        self._counts: dict[str, Mapping[str, int]] = {}
        self._asked: set[str] = set()
        self._before: dict[str, Mapping[str, int]] = {}
        self._version = ""

    async def poke(self, pods: Iterable[RouterPod]) -> None:
        """Have the kubelets refresh the mounted Secret. A pod that is gone needs none."""
        await asyncio.gather(*(self._poke(pod) for pod in pods))

    async def begin(self, version: str) -> None:
        """A version is about to be written; what was refused before it does not count against it.

        Routers that were never looked at are looked at now: their counters may be as old as they are.
        """
        if version == self._version:
            return
        if any(pod.life not in self._asked for pod in self._ready()):
            await self._states()
        self._version, self._before = version, dict(self._counts)

    async def settle(
        self, version: str, *, written: bool, interrupted: Callable[[], bool], hide: frozenset[str] = frozenset()
    ) -> Programmed:
        """Wait until every router runs the version, or one refuses it, or ten seconds have passed.

        written: the Secret was written just now, so all pods are poked without a look. interrupted: whether to return
        with what there is, because there is something newer to do. hide: secrets that Envoy's words might quote.
        """
        clock = asyncio.get_running_loop().time
        start = clock()
        pokes = list(POKES_S)
        if written:
            await self.poke(self._pods())
            pokes.pop(0)
        while True:
            states = await self._states()
            behind = [pod for pod, state in states.items() if not (state and state.runs(version))]
            progress = Programmed(version, len(states), len(states) - len(behind))
            late = clock() - start
            if not behind or interrupted():
                return progress
            if refusing := self._refusing(version, states, ever=False):
                return replace(progress, rejection=await self._reason(refusing, hide, READ_AGAIN_S, interrupted))
            if late > GIVE_UP_S:
                # An old refusal may explain it, but nobody is to blame on that ground.
                old = self._refusing(version, states, ever=True)
                return replace(progress, suspicion=await self._reason(old, hide, (), interrupted)) if old else progress
            if pokes and late >= pokes[0]:
                pokes.pop(0)
                await self.poke(pod for pod in behind if states[pod])
            await asyncio.sleep(LOOK_S if late < 1 else LOOK_LATER_S)

    def _refusing(
        self, version: str, states: Mapping[RouterPod, ConfigState | None], *, ever: bool
    ) -> RouterPod | None:
        """A router that refuses the version. ever: old refusals count, too: nothing else explains why it is behind."""
        for pod, state in states.items():
            if state is None:
                continue
            before = self._before.setdefault(pod.life, state.settled)
            if state.rejects(version, {} if ever else before):
                return pod
        return None

    def _ready(self) -> tuple[RouterPod, ...]:
        return tuple(pod for pod in self._pods() if pod.ready)

    async def _states(self) -> dict[RouterPod, ConfigState | None]:
        pods = self._ready()
        states = dict(zip(pods, await asyncio.gather(*map(self._state, pods)), strict=True))
        self._counts = {pod.life: state.rejected for pod, state in states.items() if state}
        self._asked = {pod.life for pod in pods}
        return states

    async def _state(self, pod: RouterPod) -> ConfigState | None:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._read(pod)
        except (ScrapeError, TimeoutError):
            return None

    async def _poke(self, pod: RouterPod) -> None:
        # Never the same value twice: an annotation that does not change tells the kubelet nothing.
        try:
            await self._kube.annotate(POD, pod.namespace, pod.name, {CONFIG: secrets.token_hex(8)})
        except ClusterError as error:
            log.info("cannot poke pod %s/%s: %s", pod.namespace, pod.name, error)

    async def _reason(
        self, pod: RouterPod, hide: frozenset[str], again_s: Iterable[float], interrupted: Callable[[], bool]
    ) -> str:
        """Envoy's own words, out of the pod's log. again_s: seconds between looks, while it has none."""
        waits = iter(again_s)
        try:
            while not (words := await self._words(pod, hide)):
                wait = next(waits, None)
                if wait is None or interrupted():
                    return f"pod {pod.name}: its log does not say why"
                await asyncio.sleep(wait)
        except ClusterError as error:
            return f"see the log of pod {pod.name} ({error})"
        return f"pod {pod.name}: {words}"

    async def _words(self, pod: RouterPod, hide: frozenset[str]) -> str:
        return rejection(await self._kube.log(pod.namespace, pod.name, CONTAINER, lines=LOG_LINES), hide)


def rejection(log_text: str, hide: Iterable[str]) -> str:
    """Why Envoy has refused the last configuration that it refused, without secrets; empty: the log does not say."""
    reasons = [found["why"] for line in log_text.splitlines() if (found := _REJECTED.search(line))]
    return redacted(reasons[-1], hide) if reasons else ""
