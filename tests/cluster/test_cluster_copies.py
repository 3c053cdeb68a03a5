"""Copies of a key's Secret in other namespaces: only where they are allowed, all of them or none, gone with the key."""

from collections.abc import Iterator

import pytest

from harness.cluster import find_condition
from harness.world import World, key

SHOP = "shop"
ROTATION = {"overlap": {"min": "0s", "max": "1m"}}


@pytest.fixture
def shop(here: World) -> Iterator[World]:
    """Beside the shared namespace another one, which allows nothing yet."""
    here.cluster.make_namespace(SHOP)
    yield here
    here.cluster.kubectl("delete", "scopedkey", "billing", "-n", here.namespace, "--ignore-not-found")
    here.cluster.kubectl("delete", "namespace", SHOP, "--timeout=90s")


def allow(here: World, value: str = "=allowed") -> None:
    """Let the keys' namespace write copies there; "-": not any more."""
    here.cluster.kubectl("label", "namespace", SHOP, f"{here.namespace}.keys.turnout.dev/copies{value}")


def apply(here: World, trigger: str, **spec: object) -> None:
    """The key, which rotates with each new trigger."""
    copies = [{"name": "batch"}, {"name": "openai", "namespace": SHOP}]
    body = key("billing", copies=copies, rotation={"trigger": trigger, **ROTATION}, **spec)
    here.cluster.apply(body, namespace=here.namespace)


def tokens(here: World) -> list[str]:
    """In the key's own Secret, in the copy beside it, in the copy in the shop; "" where there is none."""
    shop = World(here.cluster, SHOP)
    found = [here.secret("billing"), here.secret("batch"), shop.secret("openai")]
    return [secret.get("OPENAI_API_KEY", "") for secret in found]


def said(here: World, kind: str, words: str) -> bool:
    """Whether a condition of the key says that."""
    found = find_condition(here.cluster.get("scopedkey", "billing", here.namespace) or {}, kind)
    return bool(found) and words in str(found["message"])


def test_copies_need_permission_and_change_together(shop: World) -> None:
    """Without the label the key's own Secret works, and status says which label; with it all have the same token."""
    here = shop
    apply(here, "first")
    here.cluster.wait_for(lambda: said(here, "Ready", f"kubectl label namespace {SHOP}"), "the label named")
    own, beside, there = tokens(here)
    assert (bool(own), beside, there) == (True, own, "")
    apply(here, "second")
    here.cluster.wait_for(lambda: said(here, "RotationBlocked", "does not allow it"), "RotationBlocked")
    assert tokens(here) == [own, own, ""]
    allow(here)
    apply(here, "second", limits={"requestsPerMinute": 1000})  # any change makes it look again at once

    def together() -> bool:
        found = set(tokens(here))
        return len(found) == 1 and found != {own}

    here.cluster.wait_for(together, "a new token in all three", 60)
    url = World(here.cluster, SHOP).secret("openai")["OPENAI_BASE_URL"]
    assert url == f"http://turnout-router.{here.namespace}.svc/v1"


def test_a_copy_that_cannot_be_written_takes_all_back(shop: World) -> None:
    """An immutable Secret in another namespace: in the end all three hold the old token, and status says why."""
    here = shop
    allow(here)
    apply(here, "first")
    here.cluster.wait_for(lambda: all(tokens(here)), "three Secrets")
    before = tokens(here)
    here.cluster.kubectl("patch", "secret", "openai", "-n", SHOP, "--type=merge", "-p", '{"immutable": true}')
    apply(here, "second")
    here.cluster.wait_for(lambda: said(here, "RotationFailed", "'openai' in namespace 'shop'"), "RotationFailed", 60)
    assert tokens(here) == before
    status = (here.cluster.get("scopedkey", "billing", here.namespace) or {})["status"]
    assert status["phase"] == "Active"


def test_copies_go_with_the_key_and_come_back_when_deleted(shop: World) -> None:
    """A deleted copy is written again; one taken out of the list goes, and so do all when the key goes."""
    here = shop
    allow(here)
    apply(here, "first")
    here.cluster.wait_for(lambda: all(tokens(here)), "three Secrets")
    here.cluster.kubectl("delete", "secret", "openai", "-n", SHOP)
    here.cluster.wait_for(lambda: all(tokens(here)), "it comes back")
    somebody = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}, "stringData": {"a": "b"}}
    here.cluster.apply(somebody, namespace=SHOP)
    here.cluster.kubectl("delete", "scopedkey", "billing", "-n", here.namespace)
    here.cluster.wait_for(lambda: tokens(here) == ["", "", ""], "all gone")
    assert here.cluster.get("secret", "theirs", SHOP)
