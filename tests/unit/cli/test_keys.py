"""`turnout keys … DIR`: which key is meant, what is told of it, and what is refused."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from turnout.cli.main import turnout

KEY = """\
apiVersion: turnout.dev/v1alpha1
kind: ScopedKey
metadata: {name: app, namespace: %s}
spec: {scopes: ["*"], modelGroups: ["*"]}
"""
MORE = "spec: {%s, "


def keys(*arguments: str | Path) -> Result:
    """Run `turnout keys` in this process."""
    return CliRunner().invoke(turnout, ["keys", *map(str, arguments)])


def write_status(folder: Path, namespace: str, **status: object) -> None:
    """What `turnout run` wrote of the key last."""
    path = folder / ".turnout" / "status" / "scopedkeys" / "app.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"metadata": {"name": "app", "namespace": namespace}, "status": status}))


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with a key of one name in two namespaces."""
    for namespace in ("dev", "prod"):
        (tmp_path / f"{namespace}.yaml").write_text(KEY % namespace)
    return tmp_path


@pytest.mark.parametrize("arguments", [["revoke", "app"], ["rotate", "app"]], ids=["revoke", "rotate"])
def test_the_key_of_the_namespace_is_changed(two: Path, arguments: list[str]) -> None:
    """And no other one of that name."""
    done = keys(*arguments, two, "-n", "prod")
    assert (done.exit_code, done.stdout.partition(";")[0]) == (0, f"changed {two}/prod.yaml")
    assert (two / "dev.yaml").read_text() == KEY % "dev"


@pytest.mark.parametrize(
    "arguments", [["list"], ["revoke", "app"], ["rotate", "app"]], ids=["list", "revoke", "rotate"]
)
def test_one_of_several_namespaces_must_be_chosen(two: Path, arguments: list[str]) -> None:
    """As for `turnout run`: one line, and nothing is changed."""
    done = keys(*arguments, two)
    assert done.exit_code == 2
    assert done.stderr == f"Error: {two} holds the namespaces dev, prod; choose one with --namespace\n"
    assert (two / "dev.yaml").read_text() == KEY % "dev"


def test_keys_of_a_namespace_are_listed_with_their_own_status(two: Path) -> None:
    """What `turnout run` wrote of another namespace's key says nothing of this one."""
    write_status(two, "dev", phase="Active")
    assert keys("list", two, "-n", "dev").stdout.splitlines()[1].split()[:2] == ["app", "Active"]
    assert keys("list", two, "-n", "prod").stdout.splitlines()[1].split()[:2] == ["app", "-"]
    assert keys("list", two, "-n", "test").stderr == "no ScopedKeys\n"


def test_a_key_that_names_no_namespace_is_of_the_one_that_is_asked_for(tmp_path: Path) -> None:
    """As `turnout run` takes it."""
    (tmp_path / "key.yaml").write_text((KEY % "x").replace(", namespace: x", ""))
    assert keys("revoke", "app", tmp_path, "-n", "prod").exit_code == 0
    assert "revoked: true" in (tmp_path / "key.yaml").read_text()


def test_a_file_keeps_the_ends_of_its_lines(tmp_path: Path) -> None:
    """One from Windows is changed by nothing but what was asked for."""
    before = (KEY % "ai").replace("\n", "\r\n").encode()
    (tmp_path / "key.yaml").write_bytes(before)
    assert keys("revoke", "app", tmp_path).exit_code == 0
    assert (tmp_path / "key.yaml").read_bytes() == before.replace(b"spec: {", b"spec: {revoked: true, ")


@pytest.mark.parametrize(
    ("more", "status", "expires"),
    [
        ("lifetime: 90d", {"phase": "Revoked"}, "-"),
        ("lifetime: 90d", {"phase": "Pending"}, "-"),
        ("lifetime: 90d", {"phase": "Active", "expiresAt": "2027-02-20T00:00:00Z"}, "2027-02-20T00:00:00Z"),
        ('expiresAt: "2027-02-20T00:00:00Z"', {}, "2027-02-20T00:00:00Z"),
        ("revoked: false", {"phase": "Active"}, "never"),
        ("revoked: false", {}, "never"),
    ],
    ids=["revoked", "pending", "active", "a date, not run yet", "without an end", "without an end, not run yet"],
)
def test_when_a_key_expires_is_told_if_it_is_known(
    tmp_path: Path, more: str, status: dict[str, str], expires: str
) -> None:
    """A lifetime begins with a token: without one nobody can tell when it ends."""
    (tmp_path / "key.yaml").write_text((KEY % "ai").replace("spec: {", MORE % more))
    if status:
        write_status(tmp_path, "ai", **status)
    header, row = keys("list", tmp_path).stdout.splitlines()
    assert row[header.index("EXPIRES") :].split()[0] == expires


def test_a_key_that_has_expired_is_not_rotated(tmp_path: Path) -> None:
    """No router would accept the new token; one line says what to do first. What is no time stops nothing here."""
    text = (KEY % "ai").replace("spec: {", MORE % 'expiresAt: "2020-01-01T00:00:00Z"')
    (tmp_path / "key.yaml").write_text(text)
    done = keys("rotate", "app", tmp_path)
    assert done.exit_code == 2
    assert done.stderr == "Error: ScopedKey 'app' expired at 2020-01-01T00:00:00Z; give it a later expiresAt first\n"
    assert (tmp_path / "key.yaml").read_text() == text
    (tmp_path / "key.yaml").write_text(text.replace("2020-01-01T00:00:00Z", "soon"))
    assert keys("rotate", "app", tmp_path).exit_code == 0
