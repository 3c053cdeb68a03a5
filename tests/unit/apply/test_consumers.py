"""Handing out tokens: to whom, and when not."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pydantic import SecretStr

from harness.manifests import Manifest, key, snapshot, token
from turnout.api.scopedkey import TokenState
from turnout.apply.consumers import AT_ONCE, HandOut, Lack, hand_out
from turnout.apply.kube import Kube
from turnout.apply.objects import Applier
from turnout.decide.build import decide
from turnout.decide.issued import Rotation, Step, Token
from turnout.errors import DeniedError
from turnout.infra.kinds import NAMESPACE, Kind
from turnout.infra.labels import COPY_OF, OURS, permission

NOW = datetime(2026, 11, 20, tzinfo=UTC)
STEADY: Mapping[str, Step] = {}


class Cluster:
    """Secrets by name, as the API server has them; it knows some that the operator has not heard of yet.

    Attributes:
        known: those that the operator has heard of.
    """

    def __init__(self, **unheard_of: dict[str, Any]) -> None:
        self.unheard_of = unheard_of
        self.known: dict[str, dict[str, Any]] = {}
        self.applied: list[str] = []
        self.denies: str | None = None
        self.result: HandOut | None = None

    async def get(self, kind: Kind, _namespace: str, name: str) -> dict[str, Any] | None:
        """The Secret as it is; or a namespace, of which only the one named "open" allows copies."""
        if kind == NAMESPACE:
            return {"metadata": {"labels": dict([permission("ai")]) if name == "open" else {}}}
        return self.unheard_of.get(name)

    async def apply(self, obj: dict[str, Any]) -> bool:
        """The applier's."""
        if obj["metadata"]["name"] == self.denies:
            raise DeniedError("422: field is immutable")
        self.applied.append(obj["metadata"]["name"])
        return True


async def handed_out(
    cluster: Cluster, *keys: Manifest, interrupted: bool = False, steps: Mapping[str, Step] = STEADY
) -> list[str]:
    """The Secrets that were written for these keys. steps: of those that rotate, by name."""
    given = snapshot(*keys)
    older = Token("older", SecretStr("sk-turnout-older"), NOW, state=TokenState.DRAINING)
    given = replace(given, issued={n: have.with_tokens((older, *have.tokens)) for n, have in given.issued.items()})
    rotating = {n: replace(given.issued[n], rotation=Rotation(f"id-{n}", step, NOW)) for n, step in steps.items()}
    decision = decide(replace(given, issued={**given.issued, **rotating}), None, now=NOW)
    uids = {k["metadata"]["name"]: "u" for k in keys}
    kube, applier = cast("Kube", cluster), cast("Applier", cluster)
    cluster.result = await hand_out(
        kube, applier, decision, uids, lambda _, n: cluster.known.get(n), lambda: interrupted
    )
    return sorted(cluster.applied)


async def test_living_keys_get_their_secret() -> None:
    """Under the name that they ask for; dead ones get none."""
    keys = [
        key("app", secretName="billing"),
        key("revoked", revoked=True),
        key("old", expiresAt="2026-11-19T00:00:00Z"),
    ]
    assert await handed_out(Cluster(), *keys) == ["billing"]


async def test_a_secret_made_a_moment_ago_by_somebody_else_is_not_taken_over() -> None:
    """Server-side apply would; so the API server is asked first. One of ours may be written."""
    cluster = Cluster(theirs={"metadata": {"name": "theirs"}}, ours={"metadata": {"name": "ours", "labels": OURS}})
    assert await handed_out(cluster, key("theirs"), key("ours")) == ["ours"]

    assert cluster.result is not None
    assert list(cluster.result.unwritten) == ["theirs"]


async def test_two_keys_never_write_one_secret() -> None:
    """The second has a conflict about that one; what else it has is written."""
    cluster, copies = Cluster(), [{"name": "c"}]
    assert await handed_out(cluster, key("a", secretName="s"), key("b", secretName="s", copies=copies)) == ["c", "s"]
    assert cluster.result is not None
    assert [(name, lack.denied) for name, (lack,) in cluster.result.lacks.items()] == [("b", True)]
    assert cluster.result.unwritten == {}, "its verdict tells that, and no time is wasted on it"


async def test_something_urgent_goes_first() -> None:
    """A thousand Secrets do not hold up the end of a revoked key; the rest follows in the next run."""
    keys = [key(f"k{n}") for n in range(3 * AT_ONCE)]
    assert len(await handed_out(Cluster(), *keys, interrupted=True)) == AT_ONCE


async def test_who_waits_for_secrets_goes_first() -> None:
    """However often hand-outs are interrupted, each gets on with a rotation; and who was not come to is told."""
    cluster, waiting = Cluster(), {"k8": Step.GOING_BACK, "k9": Step.HANDING_OUT}
    keys = [key(f"k{n}") for n in range(AT_ONCE + 2)]
    written = await handed_out(cluster, *keys, interrupted=True, steps={"k0": Step.PROVING, **waiting})
    assert set(written) >= {"k8", "k9"}
    assert cluster.result == HandOut(False, left=frozenset({"k6", "k7"}))


async def test_a_secret_that_cannot_be_written_stops_no_other() -> None:
    """An immutable one, say: the key that wants it is told, the others have theirs."""
    cluster = Cluster()
    cluster.denies = "b"
    assert await handed_out(cluster, key("a"), key("b"), key("c")) == ["a", "c"]
    why = "Secret 'b' cannot be written: 422: field is immutable"
    assert cluster.result == HandOut(True, {"b": (Lack(why, here=True, denied=True, outdated=False),)})


async def test_a_copy_that_cannot_be_written_stops_no_other_of_its_key() -> None:
    """On the way back and in an emergency each Secret with the living token counts; all that fail are told."""
    cluster = Cluster()
    cluster.denies = "b"
    copies = [{"name": "a", "namespace": "closed"}, {"name": "b"}, {"name": "c", "namespace": "open"}]
    assert await handed_out(cluster, key("app", copies=copies)) == ["app", "c"]
    assert cluster.result is not None
    told = cluster.result.unwritten["app"]
    assert "Secret 'a' in namespace 'closed' cannot be written: the namespace does not allow it" in told
    assert told.endswith("; Secret 'b' cannot be written: 422: field is immutable")
    assert [lack.here for lack in cluster.result.lacks["app"]] == [False, True]


@pytest.mark.parametrize(
    ("held", "outdated"),
    [(token("app"), False), ("sk-turnout-older", True), ("somebody's", False), (None, False), ("unheard of", False)],
)
async def test_a_secret_that_cannot_be_written_may_hold_an_old_token(held: str | None, outdated: bool) -> None:
    """Then that must not be revoked for being unused. One that is right already, or not there, keeps nothing alive."""
    cluster = Cluster()
    if held != "unheard of":
        data = {"OPENAI_API_KEY": base64.b64encode(held.encode()).decode()} if held else {}
        cluster.known["copy"] = {"metadata": {"name": "copy"}, "data": data}
    await handed_out(cluster, key("app", copies=[{"name": "copy", "namespace": "closed"}]))
    assert cluster.result is not None
    assert [lack.outdated for lack in cluster.result.lacks["app"]] == [outdated]


async def test_a_copy_of_another_namespaces_key_is_not_taken_over() -> None:
    """Its programs would have another key's token from one moment to the next; the newcomer is told."""
    copy = {"metadata": {"name": "shared", "labels": OURS, "annotations": {COPY_OF: "shop/billing"}}}
    cluster = Cluster(shared=copy)
    assert await handed_out(cluster, key("app", copies=[{"name": "shared"}])) == ["app"]
    assert await handed_out(cluster, key("other", secretName="shared")) == ["app"]
    assert cluster.result is not None
    assert "Secret 'shared' cannot be written: it exists and is not this key's" in cluster.result.unwritten["other"]
