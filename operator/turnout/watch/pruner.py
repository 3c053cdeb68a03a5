"""What was made for resources that do not want it any more → deleted. Everything deleted carries our label."""

from turnout.decide.build import Decision
from turnout.decide.keys import own_secrets
from turnout.infra.consumer import abandoned, abandoned_copies, copy_of
from turnout.infra.kinds import CONFIG_MAP, ROUTER_KINDS, SCOPED_KEY, SECRET, SERVICE
from turnout.infra.labels import PEERS, ROUTER, STATE, USAGE, Json, is_ours
from turnout.watch.context import Context


class Pruner:
    """Tidies one namespace up."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context, self._namespace = context, namespace

    async def prune_router(self, *, keys: bool) -> None:
        """The last group is gone: remove the router. Issued tokens and books stay, if their keys are still there."""
        store = self._context.store
        objects = [store.get(self._namespace, kind, ROUTER) for kind in reversed(ROUTER_KINDS)]
        objects += [store.get(self._namespace, SERVICE, PEERS), store.get(self._namespace, SECRET, STATE)]
        objects += [] if keys else [store.get(self._namespace, CONFIG_MAP, USAGE)]
        await self._delete([obj for obj in objects if obj is not None and is_ours(obj)])

    async def prune_consumers(self, decision: Decision, unwritten: frozenset[str]) -> None:
        """Secrets of keys that do not want them any more. unwritten: keys whose new Secret is not there yet."""
        wanted = frozenset(name for state in decision.keys for name in own_secrets(state.key))
        well = {v.name for v in decision.verdicts if v.kind == "ScopedKey" and v.problem is None}
        kept = frozenset(v.name for v in decision.verdicts if v.kind == "ScopedKey" and v.name not in well) | unwritten
        store = self._context.store
        await self._delete(abandoned(store.objects(self._namespace, SECRET).values(), wanted=wanted, kept_keys=kept))
        await self._delete(abandoned_copies(store.everywhere(SECRET), self._namespace, decision.keys, kept))
        # A namespace without keys has no worker that would delete its copies: who has them does.
        here = ((obj, copy_of(obj)) for obj in store.objects(self._namespace, SECRET).values())
        await self._delete([obj for obj, key in here if key and self._is_gone(*key)])

    def _is_gone(self, namespace: str, key: str) -> bool:
        """Whether a key does not exist. Of a namespace that is not served nobody here knows."""
        served = self._context.settings.namespace in ("", namespace)
        return served and self._context.store.get(namespace, SCOPED_KEY, key) is None

    async def _delete(self, objects: list[Json]) -> None:
        for obj in objects:
            await self._context.kube.delete(obj)
