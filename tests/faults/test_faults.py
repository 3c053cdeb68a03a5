"""Every fault of the catalogue, with and without a stream, by the real openai SDK through a real router."""

import re
from collections.abc import Iterator

import pytest

from faults.calls import CALLS, Call, Gateway, Saw, measure
from faults.catalogue import CASES, GROUPS, Case
from faults.expected import EXPECTED, OPEN, Expected, expected
from faults.stage import Stage, stage
from harness.manifests import token
from harness.router import Router


@pytest.fixture(scope="module")
def providers() -> Iterator[Stage]:
    """All providers."""
    with stage() as made:
        yield made


@pytest.fixture(scope="module")
def router(providers: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One router for the whole table, with a group for each case."""
    router = Router(tmp_path_factory.mktemp("router")).start(*providers.manifests())
    yield router
    router.stop()
    assert not re.search(r"panicked|Uncaught|unreachable|assert failure", router.log()), "the filter crashed"


@pytest.fixture(scope="module")
def gateway(router: Router) -> Gateway:
    """The router as the table asks it."""
    return Gateway("Turnout", f"{router.url}/v1", token("app"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_provider_that_fails_costs_nobody_anything(
    gateway: Gateway, router: Router, providers: Stage, case: Case
) -> None:
    """What the client sees, the attempts at both providers, and the circuit are as the table says."""
    row = expected(case)
    opens = CALLS if row.opens is None else row.opens
    wanted = [row] * opens + [OPEN] * (CALLS - opens)
    calls = await measure(gateway, providers, case)
    if not row.lasts:
        assert {call.saw for call in calls} == {row.saw}
        calls, wanted = calls[:1], wanted[:1]
    assert [_words(call, case) for call in calls] == [_words(one, case) for one in wanted]
    lane = router.lanes()[case.name]
    if row.lasts:
        assert (lane["circuit"] == "Open" or lane["pausedForMs"] > 0) == (row.opens is not None)
    for call, one in zip(calls, wanted, strict=True):
        if call.saw in (Saw.FALLBACK, Saw.PRIMARY):
            assert call.headers["x-turnout-attempts"] == str(one.primary + one.fallback)
            assert call.headers["x-turnout-model"] == ("fallback" if call.saw is Saw.FALLBACK else case.name)


def test_the_table_is_whole() -> None:
    """Every fault has its expectation, and no expectation stands for nothing."""
    keys = [fault.key for faults in GROUPS.values() for fault in faults]
    assert sorted(keys) == sorted(EXPECTED)
    assert len({case.name for case in CASES}) == len(CASES)


def _words(one: Call | Expected, case: Case) -> str:
    primary = one.primary if case.fault.counted else "?"
    return f"{one.saw} {one.status or ''}, attempts {primary} + {one.fallback}"
