"""What holds for every namespace, whatever is in it."""

import json
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from golden.golden import NOW, SECRET_MARK
from property.strategies import snapshots
from turnout.api import ModelGroup
from turnout.decide.build import Decision, decide
from turnout.decide.ir import Router, dump, load
from turnout.decide.snapshot import Snapshot
from turnout.xds import hop
from turnout.xds.compile import compile_namespace
from turnout.xds.place import POD
from turnout.xds.render import Files, render
from turnout.xds.table import table


def decided(snapshot: Snapshot, previous: Router | None = None) -> Decision:
    """The decision at the time of all tests."""
    return decide(snapshot, previous, now=NOW)


def lines(router: Router, kind: str) -> list[list[str]]:
    """The words of a table's lines of one kind."""
    return [words for line in table(router).splitlines() if (words := line.split("\t"))[0] == kind]


@given(snapshots())
def test_every_reference_resolves(snapshot: Snapshot) -> None:
    """Models name lanes of the table, lanes name clusters of CDS, and the route knows exactly those clusters."""
    router = decided(snapshot).router
    files = {name: json.loads(data)["resources"] for name, data in render(router, POD).data.items()}
    clusters = {c["name"] for c in files["cds.json"]}
    lanes = {words[1]: words[2] for words in lines(router, "lane")}
    groups = {words[1] for words in lines(router, "group")}
    assert {words[3] for words in lines(router, "model")} == set(lanes)
    assert {words[1] for words in lines(router, "model")} == groups
    assert set(lanes.values()) == clusters
    routes = {r["name"]: r for r in files["rds.json"][0]["virtual_hosts"][0]["routes"]}
    if router.groups:
        specifier = routes["lanes"]["route"]["inline_cluster_specifier_plugin"]["extension"]["typed_config"]
        assert set(specifier["cluster_matcher"]["matcher_tree"]["exact_match_map"]["map"]) == clusters | {hop.NAME}


@given(snapshots())
def test_a_shared_lane_keeps_to_the_strictest_of_those_who_share_it(snapshot: Snapshot) -> None:
    """Requests a minute, requests at one time and the interval of warm-ups: the least that any model states, if any."""
    router = decided(snapshot).router
    for lane in lines(router, "lane"):
        sharing = [m for g in router.groups for m in g.members if m.lane.id == lane[1]]
        capacities = [m.capacity for m in sharing]
        stated = (
            {c.requests_per_minute for c in capacities},
            {c.concurrent_requests for c in capacities},
            {m.warm_ms for m in sharing},
        )
        assert [int(word) for word in lane[8:]] == [min(values - {0}, default=0) for values in stated]


@given(snapshots())
def test_every_line_of_the_table_has_the_words_of_version_7(snapshot: Snapshot) -> None:
    """The filter counts them, and refuses a table with one too many or too few; an empty last word is one."""
    router = decided(snapshot).router
    assert table(router).startswith("turnout\t7\n")
    for kind, count in {"lane": 11, "group": 8, "model": 14, "key": 7, "token": 5, "canary": 7}.items():
        assert {len(words) for words in lines(router, kind)} <= {count}


@given(snapshots(), st.randoms())
def test_the_order_of_objects_does_not_matter(snapshot: Snapshot, chance: random.Random) -> None:
    """Shuffled input gives equal bytes."""
    shuffled = replace(
        snapshot,
        groups=tuple(chance.sample(snapshot.groups, len(snapshot.groups))),
        keys=tuple(chance.sample(snapshot.keys, len(snapshot.keys))),
        secrets=dict(chance.sample(sorted(snapshot.secrets.items()), len(snapshot.secrets))),
    )
    assert files(shuffled).data == files(snapshot).data
    assert decided(shuffled).verdicts == decided(snapshot).verdicts


def files(snapshot: Snapshot) -> Files:
    """The files of a snapshot."""
    return render(decided(snapshot).router, POD)


@given(snapshots())
def test_no_secret_in_any_repr(snapshot: Snapshot) -> None:
    """Whatever ends in a log or a traceback shows no token and no credential."""
    compiled = compile_namespace(snapshot, None, now=NOW, place=POD)
    for thing in (snapshot, compiled, compiled.decision.router.model_dump_json(), compiled.decision.router):
        assert SECRET_MARK not in repr(thing)


@given(snapshots(), snapshots())
def test_a_broken_group_changes_nothing_for_the_others(before: Snapshot, after: Snapshot) -> None:
    """Without its Secrets every group keeps what was published; those that need none follow the change."""
    previous = decided(before).router
    broken = replace(after, secrets={})
    for group in decided(broken, previous).router.groups:
        whole = next(g for g in after.groups if g.metadata.name == group.name)
        expected = previous.group(group.name) if needs_secret(whole) else decided(after).router.group(group.name)
        assert group == expected


def needs_secret(group: ModelGroup) -> bool:
    """True if any model of the group has a credential."""
    return any(m.endpoint.api_key_secret_ref for m in group.spec.models)


@given(snapshots())
def test_a_published_router_survives_a_restart(snapshot: Snapshot) -> None:
    """Dump and load give the same router, credentials included, and the same bytes each time."""
    router = decided(snapshot).router
    assert load(dump(router)) == router
    assert dump(router) == dump(load(dump(router)))


@given(snapshots())
def test_deciding_again_decides_the_same(snapshot: Snapshot) -> None:
    """With its own outcome as the previous one, a decision stands still."""
    first = decided(snapshot)
    assert decided(snapshot, first.router).router == first.router


@given(snapshots(), st.integers(0, 20_000))
def test_what_does_not_fit_is_held_back_and_said(snapshot: Snapshot, largest: int) -> None:
    """No new group is let in beyond the limit; each that is held back is told why; keys stay."""
    compiled = compile_namespace(snapshot, None, now=NOW, place=POD, largest=largest)
    decision = compiled.decision
    assert compiled.files.size <= largest or not decision.router.groups
    assert decision.router.keys == decided(snapshot).router.keys
    held = {v.name for v in decision.verdicts if v.problem and v.problem.reason == "TooLarge"}
    assert held.isdisjoint(g.name for g in decision.router.groups)


@given(snapshots(), snapshots())
def test_a_group_that_grows_too_large_keeps_its_last_good_configuration(before: Snapshot, after: Snapshot) -> None:
    """With no room for any change the groups that exist stay byte for byte as they were."""
    previous = decided(before).router
    kept = compile_namespace(after, previous, now=NOW, place=POD, largest=0).decision.router
    names = {g.metadata.name for g in after.groups}
    assert [g.name for g in kept.groups] == [g.name for g in previous.groups if g.name in names]
