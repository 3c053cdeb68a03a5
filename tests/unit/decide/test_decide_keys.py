"""What decide makes of keys and their tokens, where no golden case can say it."""

from dataclasses import replace

from golden.golden import NOW, snapshot, token
from golden.test_golden import CASES
from turnout.decide.build import decide
from turnout.decide.verdict import Phase

KEYS = next(case for case in CASES if case.name == "two-keys-one-secret")


def test_two_keys_never_share_a_token() -> None:
    """A token that the keyring gives to two keys stays with the first; the second gets a new one."""
    given = snapshot(KEYS / "in.yaml")
    alone = replace(given, foreign_secrets=frozenset())
    decision = decide(replace(alone, tokens={"a": (token("a"),), "new-c": (token("a"),)}), None, now=NOW)
    assert [k.name for k in decision.router.keys] == ["a"]
    assert {k.name: k.phase for k in decision.keys}["new-c"] is Phase.PENDING
    assert "new-c" in decision.mint
