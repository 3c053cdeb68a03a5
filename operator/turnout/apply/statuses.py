"""Statuses → the API server, only where they say something new."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from turnout.apply.kube import Kube
from turnout.errors import ConflictError, DeniedError, NotFoundError
from turnout.infra.labels import Json
from turnout.infra.rollout_status import without_explanations
from turnout.infra.status import same


@dataclass(frozen=True)
class StatusOf:
    """The status that an object shall have. live: the object as it is known now."""

    live: Mapping[str, Any]
    status: Json


async def write(kube: Kube, wanted: Iterable[StatusOf], stands: Callable[[StatusOf], None]) -> None:
    """Write those that differ. An object that is gone, or is another one by now, needs none.

    stands: told of each that is in the API server now, perhaps without what only explains it. Raises ClusterError after
    all have been tried.
    """
    results = await asyncio.gather(*(_write(kube, one, stands) for one in wanted), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, (NotFoundError, ConflictError)):
            raise result


async def _write(kube: Kube, one: StatusOf, stands: Callable[[StatusOf], None]) -> None:
    try:
        await _apply(kube, one, one.status)
    except DeniedError:
        # As of an operator that is newer than its definitions: the next one must know of a rollback all the same.
        least = without_explanations(one.status)
        if least == one.status:
            raise
        await _apply(kube, one, least)
        stands(one)
        raise
    stands(one)


async def _apply(kube: Kube, one: StatusOf, status: Json) -> None:
    if same(one.live.get("status") or {}, status):
        return
    meta = {name: one.live["metadata"][name] for name in ("name", "namespace", "uid")}
    obj = {"apiVersion": one.live["apiVersion"], "kind": one.live["kind"], "metadata": meta, "status": status}
    await kube.apply(obj, subresource="status")
