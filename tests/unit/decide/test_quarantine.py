"""Who is held when a router refuses a configuration, and for how long."""

from datetime import UTC, datetime

from harness.manifests import Manifest, group, model, snapshot
from turnout.decide.build import decide
from turnout.decide.ir import Router
from turnout.decide.quarantine import Quarantine

NOW = datetime(2026, 11, 20, tzinfo=UTC)
A, A2 = group("a", model("m", "http://a/v1")), group("a", model("m", "http://a2/v1"))
B, B2 = group("b", model("m", "http://b/v1")), group("b", model("m", "http://b2/v1"))


def router(*groups: Manifest) -> Router:
    """What routers would run of these groups."""
    return decide(snapshot(*groups), None, now=NOW).router


def test_the_group_that_changed_is_held_and_the_others_go_on() -> None:
    """It counts as unreadable, so decide keeps what ran before."""
    quarantine = Quarantine()
    assert quarantine.add(router(A2, B), router(A, B), "no")
    assert set(quarantine.reasons) == {"a"}
    decision = decide(quarantine.apply(snapshot(A2, B2)), router(A, B), now=NOW)
    assert decision.router == router(A, B2)


def test_the_router_s_words_tell_two_suspects_apart() -> None:
    """Envoy names the cluster that it refuses."""
    new = router(A2, B2)
    cluster = new.groups[1].members[0].lane.endpoint.cluster
    quarantine = Quarantine()
    quarantine.add(new, router(A, B), f"Error adding cluster {cluster}: bad")
    assert set(quarantine.reasons) == {"b"}


def test_a_group_that_is_something_else_by_now_gets_another_chance() -> None:
    """What is the same as it was stays held."""
    quarantine = Quarantine()
    quarantine.add(router(A2, B2), router(A, B), "no")
    quarantine.review(router(A2, B))
    assert set(quarantine.reasons) == {"a"}
    quarantine.review(router(A, B))
    assert quarantine.reasons == {}


def test_nothing_is_held_where_nothing_would_be_left() -> None:
    """The first configuration of a namespace has nothing to go back to; the router keeps what it can take of it."""
    quarantine = Quarantine()
    assert not quarantine.add(router(A, B), None, "no")
    assert not quarantine.add(router(A), router(A), "no")
    assert quarantine.reasons == {}
