"""The rollouts of one namespace: read from their statuses once, then decided here; and their decisions told."""

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from turnout.api.canaryrollout_status import Action, DecisionStatus
from turnout.decide.canary.standing import Change, Standing
from turnout.decide.canary.state import State
from turnout.decide.evidence import Look
from turnout.decide.ir import Router
from turnout.decide.rollouts import States
from turnout.decide.snapshot import Snapshot
from turnout.decide.verdict import Verdict
from turnout.errors import ConflictError, DeniedError, TurnoutError
from turnout.infra.events import decision_event
from turnout.infra.kinds import CANARY_ROLLOUT
from turnout.infra.labels import Json
from turnout.infra.rollout_status import restored
from turnout.watch.context import Context, now

log = logging.getLogger(__name__)

TOLD_AGAIN = timedelta(minutes=10)
"""Decisions so young are told again after a restart: the operator may have died before it sent their Event."""


class Rollouts:
    """Keeps them.

    Attributes:
        standing: how they stand.
    """

    def __init__(self, context: Context, namespace: str) -> None:
        """The store must be complete."""
        self.standing = Standing()
        self._context, self._namespace = context, namespace
        self._uids: dict[str, str] = {}
        self._events: list[Json] = []
        self._fallen: list[Json] = []
        self.follow()

    def follow(self) -> None:
        """Take up rollouts that came or were made anew, let go of those that went."""
        objects = self._context.store.objects(self._namespace, CANARY_ROLLOUT)
        for name in [name for name, uid in self._uids.items() if _uid(objects.get(name)) != uid]:
            self.standing.forget(name)
            del self._uids[name]
        for name, obj in objects.items():
            if name not in self._uids:
                self._meet(name, obj)

    def advance(
        self, snapshot: Snapshot, verdicts: Iterable[Verdict], running: Router | None, look: Look | None
    ) -> Change:
        """Decide. A bug in it must not keep budgets from being checked, nor revoked keys from being refused."""
        try:
            return self.standing.advance(snapshot, verdicts, running, look, now())
        except Exception:
            log.exception("namespace %s: rollouts stay as they are: a bug", self._namespace)
            return Change.FIGURES

    def published(self, states: States) -> None:
        """Routers were told these. A fall is told now, because the API server may refuse its status for ever."""
        for name, decisions in self.standing.published(states).items():
            obj = self._context.store.get(self._namespace, CANARY_ROLLOUT, name)
            if obj is not None and self._uids.get(name) == _uid(obj):
                self._fallen += [self._told(obj, decision) for decision in decisions]

    def tellable(self) -> States:
        """What statuses may tell, for whoever tries to write them now: after that, Events of falls may be sent.

        One that was sent before would be a second one, if the operator died and the next one decided it again.
        """
        fallen, self._fallen = self._fallen, []
        self._events += fallen
        return self.standing.tellable

    def kept(self, obj: Mapping[str, Any], state: State) -> None:
        """A status says so now: what it says for the first time is told."""
        name = obj["metadata"]["name"]
        if self._uids.get(name) != _uid(obj):
            return  # made anew while it was written
        self._events += [self._told(obj, decision) for decision in self.standing.kept(name, state)]

    async def send_events(self) -> None:
        """Send the Events of what was decided. What cannot be sent now is sent later; what is denied is not."""
        while self._events:
            try:
                await self._context.kube.create_event(self._events[0])
            except ConflictError:
                pass  # it is there already
            except DeniedError as error:
                log.warning("namespace %s: an Event was refused: %s", self._namespace, error)
            except TurnoutError as error:
                log.warning("namespace %s: Events are late: %s", self._namespace, error)
                return
            del self._events[0]

    def _meet(self, name: str, obj: Json) -> None:
        state = restored(obj.get("status") or {})
        self._uids[name] = obj["metadata"]["uid"]
        self.standing.meet(name, state)
        young = [d for d in reversed(state.decisions) if now() - d.at < TOLD_AGAIN]
        self._events += [decision_event(obj, decision) for decision in young]

    def _told(self, obj: Mapping[str, Any], decision: DecisionStatus) -> Json:
        """Log it and count it; its Event."""
        name = obj["metadata"]["name"]
        words = decision.model_dump(mode="json", by_alias=True, exclude_none=True)
        level = logging.WARNING if decision.action is Action.ROLLBACK else logging.INFO
        told = {"namespace": self._namespace, "rollout": name, **words}
        log.log(level, "namespace %s: rollout %s: %s", self._namespace, name, decision.reason, extra={"decision": told})
        self._context.metrics.decisions.labels(self._namespace, name, decision.action.value, decision.reason).inc()
        return decision_event(obj, decision)


def _uid(obj: Mapping[str, Any] | None) -> str | None:
    return str(obj["metadata"]["uid"]) if obj else None
