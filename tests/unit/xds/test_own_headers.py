"""Which headers of ours a client may bring in."""

import re

from hypothesis import given
from hypothesis import strategies as st

from turnout.xds.bootstrap import all_of_ours_but

ENDS = st.text("timeou-s2", max_size=12)
NAMES = st.one_of(
    ENDS.map(lambda end: f"x-turnout-{end}"),
    ENDS.map(lambda end: f"x-turnout-timeout-ms{end}"),
    st.integers(0, 20).map(lambda length: "x-turnout-timeout-ms"[:length]),
    st.sampled_from(["x-turnout-key", "x-turnout-timer", "X-Turnout-Timeout-Ms", "x-turnouts", "accept"]),
)


@given(NAMES)
def test_all_of_ours_are_taken_off_but_for_the_one_that_is_spared(name: str) -> None:
    """The pattern, which both Python and RE2 read, takes every other name that begins with x-turnout-, and no more."""
    taken = re.fullmatch(all_of_ours_but("x-turnout-timeout-ms"), name) is not None
    assert taken == (name.startswith("x-turnout-") and name != "x-turnout-timeout-ms")
