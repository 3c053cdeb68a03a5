"""A directory: which files count, what is remembered of them, and snapshots."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from turnout.errors import UsageError
from turnout.local.directory import Directory, choose_namespace, snapshot
from turnout.local.edits import edits
from turnout.local.manifests import Manifests

KEY = """\
apiVersion: turnout.dev/v1alpha1
kind: ScopedKey
metadata: {name: %s}
spec: {scopes: ['*'], modelGroups: ['*']}
"""
FILLED_IN = {"generation": 7, "creationTimestamp": "2026-11-29T00:00:00Z"}


def names(found: Manifests) -> list[str]:
    """Names of all manifests."""
    return [m.name for m in found.manifests]


def test_the_files_are_those_that_kubectl_takes(tmp_path: Path) -> None:
    """.yaml, .yml and .json of the directory itself; no hidden ones, no others, none below."""
    for name in ("a.yaml", "b.yml", "c.txt", ".hidden.yaml", "d.yaml~", "README.md"):
        (tmp_path / name).write_text(KEY % name[0])
    (tmp_path / "e.json").write_text('{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "e"}}')
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "f.yaml").write_text(KEY % "f")
    assert names(Directory(tmp_path, {}).load()) == ["a", "b", "e"]


@pytest.mark.parametrize(
    "broken",
    [
        "a: [",
        KEY.replace("kind: ScopedKey", "kind: Scoped") % "a",
        KEY.replace("metadata", "metadat") % "a",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: '${NOT_SET}'}\n",
        "\x00",
    ],
)
def test_a_file_that_cannot_be_taken_counts_as_it_last_could(tmp_path: Path, broken: str) -> None:
    """Its objects stay, other files change, and the mistake is told each time."""
    directory = Directory(tmp_path, {})
    (tmp_path / "a.yaml").write_text(KEY % "a")
    (tmp_path / "b.yaml").write_text(KEY % "b")
    directory.load()
    (tmp_path / "a.yaml").write_text(broken)
    (tmp_path / "b.yaml").write_text(KEY % "c")
    found = directory.load()
    assert names(found) == ["a", "c"]
    assert found.mistakes or found.unset
    (tmp_path / "a.yaml").unlink()
    assert names(directory.load()) == ["c"]


def test_an_object_that_is_not_valid_is_one_that_exists(tmp_path: Path) -> None:
    """So decide keeps what it last had, while others in the same file change."""
    (tmp_path / "a.yaml").write_text((KEY % "a").replace("scopes", "scoops") + "---\n" + KEY % "b")
    found = Directory(tmp_path, {}).load()
    state = snapshot(found.manifests, "default", issued={}, metadata={("ScopedKey", "b"): FILLED_IN})
    assert [k.metadata.name for k in state.keys] == ["b"]
    meta = state.keys[0].metadata
    assert (meta.generation, meta.creation_timestamp) == (7, datetime(2026, 11, 29, tzinfo=UTC))
    assert [(i.kind, i.name) for i in state.invalid] == [("ScopedKey", "a")]
    assert "spec" in state.invalid[0].reason


def test_a_change_changes_the_fingerprint(tmp_path: Path) -> None:
    """Content, a new file, a file that is gone; files that do not count change nothing."""
    directory = Directory(tmp_path, {})
    seen = [directory.fingerprint()]
    (tmp_path / "a.yaml").write_text("a: 1")
    seen.append(directory.fingerprint())
    (tmp_path / "a.yaml").write_text("a: 22")
    seen.append(directory.fingerprint())
    (tmp_path / "b.txt").write_text("b")
    assert directory.fingerprint() == seen[-1]
    assert len(set(seen)) == 3


def test_a_change_before_the_first_look_is_one(tmp_path: Path) -> None:
    """Somebody edits a file while Envoy starts."""
    directory = Directory(tmp_path, {})
    before = directory.fingerprint()
    (tmp_path / "a.yaml").write_text("a: 1")

    async def first() -> None:
        async for _ in edits(directory, before):
            return

    asyncio.run(asyncio.wait_for(first(), 5))


def test_one_namespace_is_served(tmp_path: Path) -> None:
    """The one that the manifests name; with several, somebody must choose; with none, `default`."""
    directory = Directory(tmp_path, {})
    assert choose_namespace(directory.load(), None, tmp_path) == "default"
    (tmp_path / "a.yaml").write_text((KEY % "a").replace("{name: a}", "{name: a, namespace: ai}"))
    assert choose_namespace(directory.load(), None, tmp_path) == "ai"
    (tmp_path / "b.yaml").write_text((KEY % "b").replace("{name: b}", "{name: b, namespace: other}"))
    with pytest.raises(UsageError, match="ai, other; choose one"):
        choose_namespace(directory.load(), None, tmp_path)
    assert choose_namespace(directory.load(), "other", tmp_path) == "other"
