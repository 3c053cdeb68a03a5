"""Consumer Secrets: what is in them, and which are nobody's any more."""

from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from harness.manifests import key
from turnout.api import ScopedKey
from turnout.decide.issued import Issued, Token
from turnout.decide.keys import KeyState, key_state
from turnout.infra.consumer import abandoned, abandoned_copies, consumer_secrets, copy_of
from turnout.infra.labels import Json
from turnout.infra.objects import decoded, secret

NOW = datetime(2026, 11, 20, tzinfo=UTC)
HERE_AND_THERE = [{"name": "second"}, {"name": "second", "namespace": "shop"}, {"name": "third", "namespace": "ai"}]


def state(name: str, **spec: Any) -> KeyState:
    """A key with a token."""
    return key_state(ScopedKey.parse(key(name, **spec)), Issued((Token("1d", SecretStr("sk-1"), NOW),)), now=NOW)


def of(name: str, secret_name: str) -> Json:
    """The consumer Secret of a key."""
    return consumer_secrets("ai", state(name, secretName=secret_name), f"uid-{name}")[0]


def test_a_program_finds_its_token_and_its_address() -> None:
    """The two variables of the openai SDK; the key as owner where it can be, so that the Secret goes with it."""
    made = consumer_secrets("ai", state("app", copies=HERE_AND_THERE), "u")
    url = b"http://turnout-router.ai.svc/v1"
    assert [decoded(one) for one in made] == [{"OPENAI_API_KEY": b"sk-1", "OPENAI_BASE_URL": url}] * 4
    places = [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in made]
    assert places == [("ai", "app"), ("ai", "second"), ("shop", "second"), ("ai", "third")]
    assert [one["metadata"].get("ownerReferences", [{}])[0].get("uid") for one in made] == ["u", "u", None, "u"]
    assert [copy_of(one) for one in made] == [None, None, ("ai", "app"), None]


def test_copies_that_no_key_names_go() -> None:
    """Those of this namespace's keys alone; of a key that cannot be read they stay."""
    mine, other = state("app", copies=HERE_AND_THERE), state("other", copies=[{"name": "x", "namespace": "shop"}])
    made = [*consumer_secrets("ai", mine, "u"), *consumer_secrets("ai", other, "u"), *consumer_secrets("b", other, "u")]
    forged = {"metadata": {"name": "x", "namespace": "shop", "annotations": {"turnout.dev/copy-of": "ai/app"}}}

    def gone(*states: KeyState, kept: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
        found = abandoned_copies([*made, forged], "ai", states, kept)
        return [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in found]

    assert gone(mine, other) == []
    assert gone(mine) == [("shop", "x")]
    assert gone(state("app"), other) == [("shop", "second")]
    assert gone(kept=frozenset({"app", "other"})) == []


def test_only_our_own_orphans_go() -> None:
    """Foreign Secrets, reserved ones, wanted ones and those of unreadable keys stay."""
    foreign = {"metadata": {"name": "foreign", "labels": {}}}
    secrets = [
        of("app", "wanted"),
        of("app", "old-name"),
        of("gone", "gone"),
        of("unreadable", "kept"),
        secret("ai", "turnout-keyring", {}),
        secret("ai", "no-owner", {}),
        foreign,
    ]
    found = abandoned(secrets, wanted=frozenset({"wanted"}), kept_keys=frozenset({"unreadable"}))
    assert [obj["metadata"]["name"] for obj in found] == ["old-name", "gone"]
