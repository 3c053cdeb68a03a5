"""Which answers are of another process than the pod still says."""

import pytest
from prometheus_client.samples import Sample

from turnout.observe.uptimes import UPTIME, Uptimes

Looks = list[tuple[float, float | None]]


@pytest.mark.parametrize(
    ("looks", "new"),
    [
        ([(0, 1000), (5, 1005), (6, 1005), (30, 1029)], [False] * 4),
        ([(0, 1000), (5, 0), (10, 5), (1200, 1195)], [False, True, True, False]),
        ([(0, 1000), (60, 61)], [False, True]),
        ([(0, 5000), (5, 1405), (10, 1410)], [False] * 3),
        ([(0, None), (5, 0), (10, None), (15, 10)], [False] * 4),
    ],
    ids=["runs on", "began anew", "long not seen", "its clock went back", "does not say"],
)
def test_a_router_that_runs_shorter_than_before_is_another_process(looks: Looks, new: list[bool]) -> None:
    """Unless it says that it ran before the last look: then its clock went back."""
    uptimes = Uptimes()
    for (now, uptime), expected in zip(looks, new, strict=True):
        samples = [Sample("turnout_x", {}, 7)] + ([] if uptime is None else [Sample(UPTIME, {}, uptime)])
        assert uptimes.began_anew("uid/0", samples, now) is expected, now
    assert not uptimes.began_anew("uid/1", [Sample(UPTIME, {}, 0)], 0)
    uptimes.keep({"uid/1"})
    assert not uptimes.began_anew("uid/0", [Sample(UPTIME, {}, 0)], 1)
