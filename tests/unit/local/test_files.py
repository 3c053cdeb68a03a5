"""Private files, written in one step; the swap that Envoy watches for; a home that one process holds."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from harness import manifests
from turnout.api import ScopedKey
from turnout.decide.ir import Router
from turnout.decide.issued import Issued, Token
from turnout.decide.keys import KeyState
from turnout.decide.verdict import Phase
from turnout.errors import UsageError
from turnout.local import files
from turnout.local.home import Home

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_all_new_folders_are_private(tmp_path: Path) -> None:
    """Whatever the umask says."""
    path = tmp_path / "a" / "b" / "c"
    assert files.write(path, b"1")
    assert [mode(p) for p in (path, path.parent, path.parent.parent)] == [0o600, 0o700, 0o700]
    assert not files.write(path, b"1")
    assert list(path.parent.iterdir()) == [path]


def test_a_swap_changes_all_files_in_one_rename(tmp_path: Path) -> None:
    """Names in the folder lead through ..data, as with the kubelet; the old version is gone, the same one is kept."""
    files.swap(tmp_path, "1" * 64, {"a.json": b"1", "b.json": b"1"})
    files.swap(tmp_path, "2" * 64, {"a.json": b"2", "b.json": b"2"})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes() == b"2"
    assert (tmp_path / "..data").readlink() == Path(f"..{'2' * 16}")
    inode = (tmp_path / "a.json").stat().st_ino
    files.swap(tmp_path, "2" * 64, {"a.json": b"2", "b.json": b"2"})
    assert (tmp_path / "a.json").stat().st_ino == inode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["..2222222222222222", "..data", "a.json", "b.json"]


def test_a_swap_that_was_interrupted_is_no_obstacle(tmp_path: Path) -> None:
    """What a killed process left half done is done anew."""
    (tmp_path / f"..{'1' * 16}").mkdir()
    (tmp_path / f"..{'1' * 16}" / "a.json").write_text("half")
    (tmp_path / "..data_tmp").symlink_to("nowhere")
    files.swap(tmp_path, "1" * 64, {"a.json": b"whole"})
    assert (tmp_path / "a.json").read_bytes() == b"whole"


def test_a_home_is_held_by_one(tmp_path: Path) -> None:
    """The second one is told who has it; afterwards it is free."""
    one, two = Home(tmp_path / ".turnout"), Home(tmp_path / ".turnout")
    one.acquire()
    with pytest.raises(UsageError, match=r"is held by another `turnout run`, process [0-9]+"):
        two.acquire()
    one.release()
    two.acquire()
    two.release()


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / ".turnout").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        Home(tmp_path / ".turnout").acquire()


def test_a_home_is_never_somebody_else_s_folder(tmp_path: Path) -> None:
    """A repository that one cloned may bring a link, or a folder, of that name."""
    (tmp_path / "src").mkdir(mode=0o755)
    (tmp_path / "src" / "theirs").write_text("theirs")
    home = tmp_path / ".turnout"
    home.symlink_to("src")
    with pytest.raises(UsageError, match="is a symbolic link"):
        Home(home).acquire()
    home.unlink()
    (tmp_path / "src").rename(home)
    with pytest.raises(UsageError, match="holds files that are not Turnout's"):
        Home(home).acquire()
    assert [path.name for path in home.iterdir()] == ["theirs"]
    assert mode(home) == 0o755


def test_keys_are_handed_out_and_taken_back(tmp_path: Path) -> None:
    """Living keys have an .env file and a Secret; dead and deleted ones have neither."""
    home = Home(tmp_path)
    token = Token("ab", SecretStr("sk-turnout-x"), NOW)
    key = ScopedKey.parse(manifests.key("app"))
    alive = KeyState(key, "app", "app-secret", Phase.ACTIVE, None, token, Issued((token,)))
    dead = KeyState(key, "old", "old", Phase.EXPIRED, NOW, None, Issued())
    home.hand_out("ai", [alive, dead], "http://127.0.0.1:4000/v1")
    assert (tmp_path / "keys/app.env").read_text() == (
        "OPENAI_API_KEY=sk-turnout-x\nOPENAI_BASE_URL=http://127.0.0.1:4000/v1\n"
    )
    assert [p.name for p in (tmp_path / "secrets").iterdir()] == ["app-secret.yaml"]
    home.hand_out("ai", [], "http://127.0.0.1:4000/v1")
    assert not list((tmp_path / "keys").iterdir())
    assert not list((tmp_path / "secrets").iterdir())


def test_tokens_and_the_last_good_configuration_come_back(tmp_path: Path) -> None:
    """What was saved is read; another namespace's configuration is none."""
    home = Home(tmp_path)
    assert home.issued() == {}
    assert home.last_good("ai") is None
    issued = {"app": Issued((Token("ab", SecretStr("sk-turnout-012345678901234567890"), NOW),))}
    home.save_issued("ai", issued)
    home.save_last_good(Router(namespace="ai"))
    assert home.issued() == issued
    assert home.last_good("ai") == Router(namespace="ai")
    assert home.last_good("other") is None


def test_a_broken_keyring_is_told_and_not_overwritten(tmp_path: Path) -> None:
    """New tokens would cut off every program that has one."""
    (tmp_path / "keyring.json").write_text("{")
    with pytest.raises(UsageError, match=r"keyring\.json cannot be read; move it away"):
        Home(tmp_path).issued()


def test_metadata_is_filled_in_as_the_api_server_does(tmp_path: Path) -> None:
    """A generation more for each other spec, none for another status; and since when the object exists."""
    home, seen = Home(tmp_path), []
    for minute, spec in enumerate(({"a": 1}, {"a": 1}, {"a": 2})):
        meta = home.metadata("ModelGroup", "g", spec, now=NOW + timedelta(minutes=minute))
        home.save_object("ModelGroup", "g", {"name": "g", **meta}, spec, {"x": minute})
        seen.append((meta["generation"], meta["creationTimestamp"]))
    assert seen == [(n, "2026-11-22T00:00:00Z") for n in (1, 1, 2)]
    home.save_object("ModelGroup", "g", {"name": "g", "creationTimestamp": "by hand"}, {"a": 1}, {})
    assert home.metadata("ModelGroup", "g", {}, now=NOW) == {"generation": 1, "creationTimestamp": seen[0][1]}
