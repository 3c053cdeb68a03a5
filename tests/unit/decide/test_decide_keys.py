"""What decide makes of keys and their tokens, where no golden case can say it."""

from dataclasses import replace

import pytest

from golden.golden import NOW, snapshot, token
from golden.test_golden import CASES
from harness import manifests
from harness.manifests import key
from turnout.api import ScopedKey
from turnout.decide.build import decide
from turnout.decide.issued import Issued
from turnout.decide.keys import is_spent
from turnout.decide.usage import Usage, Use
from turnout.decide.verdict import Phase

KEYS = next(case for case in CASES if case.name == "two-keys-one-secret")


def test_two_keys_never_share_a_token() -> None:
    """A token that the keyring gives to two keys stays with the first; the second gets a new one."""
    given = snapshot(KEYS / "in.yaml")
    alone = replace(given, foreign_secrets=frozenset())
    decision = decide(
        replace(alone, issued={"a": Issued((token("a"),)), "new-c": Issued((token("a"),))}), None, now=NOW
    )
    assert [k.name for k in decision.router.keys] == ["a"]
    assert {k.name: k.phase for k in decision.keys}["new-c"] is Phase.PENDING
    assert "new-c" in decision.mint


def test_a_key_that_is_made_again_gets_a_new_token() -> None:
    """What was issued for a deleted object of the same name is dropped, whatever the new one may do."""
    given = snapshot(KEYS / "in.yaml")
    again = tuple(k.model_copy(update={"metadata": k.metadata.model_copy(update={"uid": "new"})}) for k in given.keys)
    old = replace(token("a"), owner="old")
    decision = decide(replace(given, keys=again, issued={"a": Issued((old,))}), None, now=NOW)
    assert decision.drop == ("a",)
    assert decision.mint["a"].metadata.uid == "new"
    assert not decision.router.keys


def test_a_newcomer_never_takes_a_secret_away() -> None:
    """Of two keys that name one Secret the one with a token keeps it, though the other comes first by name."""
    given = replace(snapshot(KEYS / "in.yaml"), issued={"new-b": Issued((token("new-b"),))})
    decision = decide(given, None, now=NOW)
    problems = {v.name: v.problem for v in decision.verdicts if v.kind == "ScopedKey"}
    assert problems["new-b"] is None
    assert problems["a"] is not None
    assert [k.name for k in decision.router.keys] == ["new-b"]


@pytest.mark.parametrize(
    ("beta", "told"),
    [({}, ["alpha"]), ({"secretName": "other"}, []), (None, [])],
)
def test_of_two_keys_with_tokens_the_secret_stays_whose_it_is(beta: dict[str, str] | None, told: list[str]) -> None:
    """Somebody edits a key that comes first by name: it must not take over what the other's programs read. Once that
    one wants it no more, or is gone, it may.
    """
    edited = manifests.key("alpha", copies=[{"name": "beta"}])
    given = manifests.snapshot(edited, *([manifests.key("beta", **beta)] if beta is not None else []))
    decision = decide(replace(given, secret_owners={"alpha": "alpha", "beta": "beta"}), None, now=NOW)
    assert [v.name for v in decision.verdicts if v.problem] == told
    assert {k.name: k.conflicts for k in decision.keys}["alpha"] == ({"beta"} if told else frozenset())


def test_a_key_whose_secret_is_refused_keeps_its_token_and_says_so() -> None:
    """A typing error in secretName does not kill a token that programs use."""
    given = replace(snapshot(KEYS / "in.yaml"), issued={"new-c": Issued((token("new-c"),))})
    decision = decide(given, None, now=NOW)
    verdict = next(v for v in decision.verdicts if v.name == "new-c")
    assert verdict.problem is not None
    assert verdict.stale
    assert [k.name for k in decision.router.keys] == ["new-c"]


@pytest.mark.parametrize(("nano_usd", "spent"), [(0, False), (2_499_999_999, False), (2_500_000_000, True)])
def test_a_budget_is_spent_when_all_of_it_is_used(nano_usd: int, spent: bool) -> None:
    """Not a billionth of a dollar earlier; a key without a budget never is."""
    usage = Usage(month={("assistant", "gpt"): Use(1, 10, nano_usd)})
    assert is_spent(ScopedKey.parse(key("app", limits={"usdPerMonth": "2.5"})), usage) is spent
    assert not is_spent(ScopedKey.parse(key("app")), usage)


def test_a_conflict_over_a_secret_keeps_no_leaked_token_alive() -> None:
    """A key without a token waits until the conflict is over; an emergency does not."""
    rotation = {"trigger": "leak", "emergency": True}
    given = manifests.snapshot(manifests.key("app", secretName="theirs", rotation=rotation))
    given = replace(given, foreign_secrets=frozenset({"theirs"}))
    assert decide(replace(given, issued={"app": Issued((token("app"),))}), None, now=NOW).mint
    assert not decide(replace(given, issued={}), None, now=NOW).mint
