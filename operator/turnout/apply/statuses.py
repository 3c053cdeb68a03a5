"""Statuses → the API server, only where they say something new."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from turnout.apply.kube import Kube
from turnout.errors import ConflictError, NotFoundError
from turnout.infra.labels import Json
from turnout.infra.status import same


@dataclass(frozen=True)
class StatusOf:
    """The status that an object shall have. live: the object as it is known now."""

    live: Mapping[str, Any]
    status: Json


async def write(kube: Kube, wanted: Iterable[StatusOf]) -> int:
    """Write those that differ; how many did. An object that is gone, or is another one by now, needs none.

    Raises ClusterError after all have been tried.
    """
    differing = [one for one in wanted if not same(one.live.get("status") or {}, one.status)]
    results = await asyncio.gather(*(_write(kube, one) for one in differing), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, (NotFoundError, ConflictError)):
            raise result
    return len(differing)


async def _write(kube: Kube, one: StatusOf) -> None:
    meta = {name: one.live["metadata"][name] for name in ("name", "namespace", "uid")}
    obj = {"apiVersion": one.live["apiVersion"], "kind": one.live["kind"], "metadata": meta, "status": one.status}
    await kube.apply(obj, subresource="status")
