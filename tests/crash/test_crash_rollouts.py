"""Rollouts whose operator is killed at each write take each step once, tell each decision once, and fail no call."""

import asyncio

import pytest

from crash.conftest import CRDS
from crash.rollouts import KILLS, Rolled, run
from harness.cluster import ApiServer


@pytest.fixture(scope="module")
def rolled(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Rolled:
    """All of them."""
    api_server.kubectl("apply", "--server-side", "-k", str(CRDS))
    api_server.kubectl("wait", "--for=condition=Established", "crd", "--all")
    folder = tmp_path_factory.mktemp("crash-rollouts")
    done = api_server.namespace.call(lambda: asyncio.run(run(api_server, folder)))
    print(done.table())
    return done


@pytest.mark.parametrize("good", [True, False], ids=["a good canary", "a failing canary"])
@pytest.mark.parametrize("how", KILLS)
def test_a_rollout_goes_on_after_a_kill_at_any_write(rolled: Rolled, how: str, good: bool) -> None:
    """No step again, none left out; one Event for each decision; evidence counted once; no failed call."""
    ends = [end for end in rolled.ends if (end.how, end.good) == (how, good)]
    assert [end for end in ends if end.wrong] == []
    assert sum(end.reached for end in ends) >= len(ends) // 2, "one that fails may do so a look earlier"
