"""Rotations that are disturbed at their writes end as done or as rolled back, and nobody is refused meanwhile.

Run against a real API server and two real Envoys in each namespace; kubelets and the controller of Deployments are
played. See matrix.py.
"""

import pytest

from crash.disturbances import DISTURBANCES
from crash.matrix import BACK, DEAD, DONE, Matrix

MAY_GO_BACK = {"403"}
"""An API server that denies a Secret takes everything back; it may deny anything else for a while."""


@pytest.mark.parametrize("fails", [False, True], ids=["a rotation that goes well", "a rotation that goes back"])
@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbed_rotation_ends_well(matrix: Matrix, name: str, fails: bool) -> None:
    """At every point that was tried."""
    found = [outcome for outcome in matrix.of(name, fails=fails) if outcome.reached]
    assert found
    fatal = DISTURBANCES[name].fatal
    allowed = {DEAD} if fatal else {BACK} if fails else {DONE, BACK} if name in MAY_GO_BACK else {DONE}
    assert [outcome for outcome in found if outcome.end not in allowed or outcome.refused] == []


@pytest.mark.parametrize("name", [name for name, found in DISTURBANCES.items() if found.restart])
def test_a_kill_was_tried_at_every_write(matrix: Matrix, name: str) -> None:
    """Of a status there may be one less: two changes may go in one write."""
    for fails in (False, True):
        reached = {(o.case.what, o.case.nth) for o in matrix.of(name, fails=fails) if o.reached}
        missed = [what for what, nth in matrix.points(fails=fails) if (what, nth) not in reached]
        assert all(what.endswith("/status") for what in missed), missed
        assert len(missed) <= 2
