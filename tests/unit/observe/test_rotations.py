"""What the log tells of tokens: a line for each thing that happens to them, with the key and the token's id."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harness.manifests import key, snapshot, token
from turnout.api.scopedkey import TokenState
from turnout.apply import keyring
from turnout.decide.build import decide
from turnout.decide.issued import Failure, Issued, Revocation, Rotation, Step
from turnout.observe.rotations import tell_all

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ID = "id-app"
KEPT = snapshot(key("app")).issued
NEW = replace(KEPT["app"].tokens[0], id="new")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, from INFO on."""
    caplog.set_level("INFO")
    return caplog


def changed(have: keyring.Keyring, *manifests: dict) -> keyring.Keyring:  # type: ignore[type-arg]
    """What the keys as they are written make of a keyring; it is told."""
    given = replace(snapshot(*manifests), issued=have)
    after = keyring.changed(have, decide(given, None, now=NOW), now=NOW)
    tell_all(have, after, "namespace ai: ")
    return after


def test_a_first_token_is_told(told: pytest.LogCaptureFixture) -> None:
    """By its id; the token itself stays where it is."""
    (first,) = changed({}, key("app"))["app"].tokens
    assert told.messages == [f"namespace ai: key app: token {first.id} is issued"]
    assert first.token.get_secret_value() not in told.text


def test_a_revoked_key_is_told(told: pytest.LogCaptureFixture) -> None:
    """With what becomes of a rotation under way; and once."""
    rotation = Rotation("new", Step.PROVING, NOW)
    under_way = replace(KEPT["app"], tokens=(*KEPT["app"].tokens, NEW), rotation=rotation)
    after = changed({"app": under_way}, key("app", revoked=True))
    where = "namespace ai: key app: "
    over = f"{where}rotation to token new ends: the token is revoked"
    assert told.messages == [over, f"{where}token {ID} is revoked", f"{where}token new is revoked"]
    told.clear()
    changed(after, key("app", revoked=True))
    assert told.messages == []


def test_an_emergency_is_told(told: pytest.LogCaptureFixture) -> None:
    """Which token dies, and which comes for it; also when it cuts a rotation short."""
    asked = key("app", rotation={"trigger": "leaked", "emergency": True})
    under_way = replace(KEPT["app"], tokens=(*KEPT["app"].tokens, NEW), rotation=Rotation("new", Step.PROVING, NOW))
    for have, ends in ((KEPT["app"], []), (under_way, ["rotation to token new ends: the token is revoked"])):
        told.clear()
        newest = changed({"app": have}, asked)["app"].tokens[-1].id
        dead = [f"token {t.id} is revoked" for t in have.tokens]
        lines = [*ends, f"emergency rotation to token {newest}: Proving", *dead]
        assert told.messages == [f"namespace ai: key app: {line}" for line in lines]


def test_a_deleted_key_is_told(told: pytest.LogCaptureFixture) -> None:
    """Its tokens go with it."""
    changed(KEPT)
    assert told.messages == [f"namespace ai: key app: token {ID} is dropped, as its key is gone"]
    assert token("app") not in told.text


@pytest.mark.parametrize(
    ("after", "line"),
    [
        (KEPT["app"].turned(TokenState.DRAINING, [ID], NOW), None),
        (replace(KEPT["app"], rotation=Rotation("new", Step.RESTARTING, NOW)), "rotation to token new: Restarting"),
        (KEPT["app"], "rotation to token new is over"),
        (replace(KEPT["app"], failure=Failure(NOW, "no.")), "rotation to token new failed: no."),
    ],
    ids=["it drains", "a step", "over", "failed"],
)
def test_steps_of_a_rotation_are_told(told: pytest.LogCaptureFixture, after: Issued, line: str | None) -> None:
    """And nothing of what is no news."""
    before = KEPT["app"] if line is None else replace(KEPT["app"], rotation=Rotation("new", Step.PROVING, NOW))
    tell_all({"app": before}, {"app": after})
    assert told.messages == ([] if line is None else [f"key app: {line}"])


def test_a_proof_is_told_with_its_time(told: pytest.LogCaptureFixture) -> None:
    """A revoked token that routers were seen to refuse."""
    before = KEPT["app"].turned(TokenState.REVOKED, [ID], NOW)
    after = Issued(revocation=Revocation(ID, NOW - timedelta(seconds=1), 400))
    tell_all({"app": before}, {"app": after})
    assert told.messages == [f"key app: token {ID} is refused by every router, after 400 ms"]
