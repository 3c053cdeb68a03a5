"""Objects of the routers: what is refused, and what is slow."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from turnout.apply.objects import Applier
from turnout.errors import DeniedError
from turnout.settings import Settings
from turnout.watch.context import Context
from turnout.watch.routers import RouterObjects


class Cluster:
    """An API server that refuses a kind, or lets one wait."""

    def __init__(self) -> None:
        self.refuses, self.slow = "", ""
        self.written: list[str] = []
        self.go_on = asyncio.Event()

    async def apply(self, obj: dict[str, Any]) -> bool:
        """The applier's."""
        if obj["kind"] == self.slow:
            await self.go_on.wait()
        if obj["kind"] == self.refuses:
            raise DeniedError("403: our policy")
        self.written.append(obj["kind"])
        return True

    async def apply_deployment(self, obj: dict[str, Any], *, replicas: int) -> bool:
        """The applier's."""
        assert replicas
        return await self.apply(obj)


@pytest.fixture
def cluster() -> Cluster:
    """One that does what it is asked to."""
    return Cluster()


@pytest.fixture
def objects(cluster: Cluster) -> RouterObjects:
    """Those of a namespace."""
    context = SimpleNamespace(settings=Settings(), wasm=b"wasm")
    return RouterObjects(cast("Context", context), "ai", cast("Applier", cluster))


async def test_one_that_is_refused_stops_no_other(cluster: Cluster, objects: RouterObjects) -> None:
    """The Deployment comes after the others, and comes all the same; when all is well again, that is known."""
    cluster.refuses = "NetworkPolicy"
    objects.begin()
    assert str(await objects.error(lambda: False)) == "403: our policy"
    assert cluster.written[-1] == "Deployment"
    assert "NetworkPolicy" not in cluster.written
    cluster.refuses = ""
    objects.begin()
    assert await objects.error(lambda: False) is None


async def test_one_that_is_slow_holds_up_nothing_urgent(cluster: Cluster, objects: RouterObjects) -> None:
    """It goes on meanwhile, and is not written twice at one time; until it is done, the last word counts."""
    cluster.refuses = cluster.slow = "Deployment"
    objects.begin()
    assert await objects.error(lambda: True) is None
    objects.begin()
    cluster.go_on.set()
    assert str(await objects.error(lambda: False)) == "403: our policy"
    assert cluster.written.count("ConfigMap") == 1
    cluster.go_on.clear()
    objects.begin()
    assert str(await objects.error(lambda: True)) == "403: our policy"
    cluster.go_on.set()
    await objects.end()
    assert await objects.error(lambda: False) is None
