"""The command line: list, help, version, exit codes, one line for each refusal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from turnout import __version__
from turnout.cli.main import COMMANDS, turnout

ENVOY = Path(sys.prefix) / "bin" / "envoy"
QUICKSTART = Path(__file__).parents[3] / "manifests" / "samples" / "quickstart"


def call(*arguments: str | Path, **environment: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(turnout, [str(a) for a in arguments], env=environment)


def test_version_and_help_import_no_command() -> None:
    """They answer in a tenth of a second, and work whatever is broken."""
    for arguments, words in ((["--version"], f"turnout {__version__}"), (["--help"], "fake-provider")):
        code = f"import sys; sys.argv = ['turnout', *{arguments}]; import turnout.__main__ as m\ntry: m.main()\n"
        code += "finally: print(sorted(n for n in sys.modules if n.startswith('turnout.')), file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert words in done.stdout
        assert "turnout.cli.run" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """--help begins with a sentence and names every option."""
    shown = call(command, "--help")
    assert shown.exit_code == 0
    assert shown.output.startswith(f"Usage: turnout {command}")


def test_an_unknown_command_is_refused() -> None:
    """With the usual exit code."""
    assert call("rum", "x").exit_code == 2


def test_check_passes_good_manifests() -> None:
    """One line that counts what was found, exit code 0."""
    done = call("check", QUICKSTART)
    assert (done.exit_code, done.stdout) == (0, "ok: 1 ModelGroup, 1 ScopedKey, 3 Secrets\n")


def test_check_prints_a_line_for_each_mistake(tmp_path: Path) -> None:
    """And ends with exit code 1; notes go to stderr."""
    (tmp_path / "a.yaml").write_text(
        "apiVersion: turnout.dev/v1alpha1\nkind: ScopedKey\nmetadata: {name: k}\nspec: {}\n"
    )
    (tmp_path / "b.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
    done = call("check", tmp_path)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{tmp_path}/a.yaml:4: spec.modelGroups: is required",
        f"{tmp_path}/a.yaml:4: spec.scopes: is required",
    ]
    assert "ConfigMap is none of Turnout's kinds" in done.stderr


def test_check_of_nothing_is_refused(tmp_path: Path) -> None:
    """A folder that is missing, empty, or holds its files one level below is told in one line."""
    assert "does not exist" in call("check", tmp_path / "nowhere").stderr
    (tmp_path / "below").mkdir()
    assert call("check", tmp_path).exit_code == 2
    (tmp_path / "below" / "a.yaml").write_text("")
    assert call("check", tmp_path).stderr.endswith(f"did you mean {tmp_path}/below?\n")


def test_crds_are_what_is_in_the_repository(tmp_path: Path) -> None:
    """Printed as one stream, or written as the files that kustomize takes."""
    printed = list(yaml.safe_load_all(call("crds").stdout))
    assert [d["spec"]["names"]["kind"] for d in printed] == ["ModelGroup", "ScopedKey", "CanaryRollout"]
    assert call("crds", "-o", tmp_path / "crds").exit_code == 0
    for path in (tmp_path / "crds").iterdir():
        assert path.read_text() == (Path(__file__).parents[3] / "crds" / path.name).read_text()


def test_compile_writes_what_envoy_takes(tmp_path: Path) -> None:
    """Envoy validates it; keys are issued once and private."""
    out = tmp_path / "out"
    first = call("compile", QUICKSTART, "-o", out)
    assert first.exit_code == 0, first.stderr
    done = subprocess.run([ENVOY, "--mode", "validate", "-c", out / "bootstrap.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    keys = (out / "keys" / "demo.env").read_text()
    version = json.loads((out / "xds" / "cds.json").read_text())["version_info"]
    assert call("compile", QUICKSTART, "-o", out).exit_code == 0
    assert (out / "keys" / "demo.env").read_text() == keys
    assert json.loads((out / "xds" / "cds.json").read_text())["version_info"] == version
    assert (out / "keys" / "demo.env").stat().st_mode & 0o077 == 0


def test_compile_with_an_access_log_writes_what_envoy_takes(tmp_path: Path) -> None:
    """The logger is in the bootstrap, and Envoy validates it; without the option there is none."""
    for options in ([], ["--access-log"]):
        assert call("compile", QUICKSTART, "-o", tmp_path / "out", *options).exit_code == 0
        bootstrap = tmp_path / "out" / "bootstrap.json"
        assert ("StdoutAccessLog" in bootstrap.read_text()) is bool(options)
        done = subprocess.run([ENVOY, "--mode", "validate", "-c", bootstrap], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_compile_leaves_alone_what_it_did_not_make(tmp_path: Path) -> None:
    """A folder with somebody else's files is refused in one line; nothing in it is deleted, nor its mode changed."""
    out = tmp_path / "out"
    theirs = [out / name for name in ("secrets/production.yaml", "keys/mine.env", "xds/mine/notes")]
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.write_text("theirs")
    out.chmod(0o755)
    done = call("compile", QUICKSTART, "-o", out)
    assert done.exit_code == 2
    assert done.stderr == f"Error: {out} holds files that are not Turnout's; it must be new or empty\n"
    assert [path.read_text() for path in theirs] == ["theirs"] * 3
    assert out.stat().st_mode & 0o777 == 0o755


def test_compile_follows_no_link(tmp_path: Path) -> None:
    """Neither in place of the folder, nor in one that it made before."""
    elsewhere, out, link = tmp_path / "elsewhere", tmp_path / "out", tmp_path / "link"
    elsewhere.mkdir()
    link.symlink_to(elsewhere)
    done = call("compile", QUICKSTART, "-o", link)
    assert (done.exit_code, done.stderr) == (2, f"Error: {link} is a symbolic link; it must be a folder\n")
    assert call("compile", QUICKSTART, "-o", out).exit_code == 0
    (out / "secrets").rename(tmp_path / "moved")
    (out / "secrets").symlink_to(elsewhere)
    (elsewhere / "production.yaml").write_text("theirs")
    done = call("compile", QUICKSTART, "-o", out)
    assert (done.exit_code, done.stderr) == (2, f"Error: {out}/secrets is a symbolic link, which is not Turnout's\n")
    assert [path.name for path in elsewhere.iterdir()] == ["production.yaml"]


def test_compile_fills_an_empty_folder_and_leaves_its_mode(tmp_path: Path) -> None:
    """Whoever made it chose who may look into it; what is put there is private. Others must not write there."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    done = call("compile", QUICKSTART, "-o", out)
    assert (done.exit_code, done.stderr) == (2, f"Error: others can write to {out}; take that right away: chmod go-w\n")
    assert not list(out.iterdir())
    out.chmod(0o755)
    assert call("compile", QUICKSTART, "-o", out).exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o755
    assert (out / "keys").stat().st_mode & 0o077 == 0


def test_compile_refuses_mistakes(tmp_path: Path) -> None:
    """It prints them as `check` does, and writes nothing."""
    (tmp_path / "a.yaml").write_text(
        "apiVersion: turnout.dev/v1alpha1\nkind: ScopedKey\nmetadata: {name: k}\nspec: {}\n"
    )
    done = call("compile", tmp_path, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "spec.scopes: is required" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mode", "nonsense"],
        ["--latency", "fast"],
        ["--error-rate", "120%"],
        ["--outage", "10s/60s"],
        ["--port", "70000"],
    ],
)
def test_a_fake_provider_refuses_what_it_cannot_be(arguments: list[str]) -> None:
    """A typing error is told with the option's name."""
    done = call("fake-provider", "--port", "0", *arguments)
    assert done.exit_code == 2
    assert arguments[0] in done.stderr


@pytest.mark.parametrize("listen", ["4000x", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "example.com:4000"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    """Before anything is looked at."""
    done = call("run", QUICKSTART, "--listen", listen)
    assert done.exit_code == 2
    assert "HOST:PORT" in done.stderr


def test_a_fake_provider_serves_until_it_is_told_to_stop() -> None:
    """It says where, and ends without a word."""
    command = [Path(sys.prefix) / "bin" / "turnout", "fake-provider", "--port", "0", "--name", "one"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready http://127.0.0.1:")
    process.terminate()
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0
