"""Consumer Secrets: what is in them, and which are nobody's any more."""

from pydantic import SecretStr

from turnout.infra.consumer import abandoned, consumer_secret
from turnout.infra.objects import decoded, secret


def of(key: str, name: str) -> dict[str, object]:
    """The consumer Secret of a key."""
    return consumer_secret("ai", name, SecretStr("sk-1"), key=key, uid=f"uid-{key}")


def test_a_program_finds_its_token_and_its_address() -> None:
    """The two variables of the openai SDK, and the key as owner, so that the Secret goes with it."""
    made = consumer_secret("ai", "billing", SecretStr("sk-1"), key="app", uid="u")
    url = b"http://turnout-router.ai.svc/v1"
    assert decoded(made) == {"OPENAI_API_KEY": b"sk-1", "OPENAI_BASE_URL": url}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"


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
