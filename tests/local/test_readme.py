"""The README's commands, run as they stand there."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from turnout.cli.main import turnout

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PORTS = (4000, 9001, 9002, 9003)


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shell(script: str) -> str:
    """What a bash in the project's folder prints; must succeed."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euc", script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def quickstart() -> Iterator[None]:
    """`make run`, until it is ready."""
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.fail(f"the quickstart needs port {port}, on which something listens")
    command = ["make", "--no-print-directory", "run"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "?mode=ok" in line:
            break
    assert "ready http://127.0.0.1:4000/v1\n" in lines, "".join(lines)
    yield
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    process.communicate(timeout=20)


def test_the_quickstart_does_what_it_says(quickstart: None) -> None:
    """Answer, stream, provider down, answer of another model: with the commands of the README."""
    run, ask, down = blocks("sh")[:3]
    assert run.strip() == "make run"
    before = shell(ask)
    assert "x-turnout-model: deepseek-v3.2" in before
    source = ask.splitlines()[0]
    python = blocks("python")[0]
    assert "Hello" in shell(f"{source}\npython - <<'END'\n{python}\nEND")
    shell(down)
    after = shell(ask)
    assert "HTTP/1.1 200" in after
    assert "x-turnout-model: gemini-2.5-flash" in after
    assert "x-turnout-fallback: deepseek-v3.2=" in after


def test_every_make_target_that_is_named_exists() -> None:
    """`make help` lists all that the README names."""
    known = re.findall(r"make ([a-z-]+)", shell("make help"))
    named = set(re.findall(r"`make ([a-z-]+)`", README)) | {b.split()[1] for b in blocks("sh") if b.startswith("make")}
    assert named <= set(known)


def test_every_turnout_command_that_is_named_exists() -> None:
    """Each can show its help, and the options that the README names are in it."""
    lines = [
        line.split("#")[0].split() for block in blocks("sh") for line in block.splitlines() if line[:8] == "turnout "
    ]
    assert len(lines) == 4
    for _, command, *rest in lines:
        shown = CliRunner().invoke(turnout, [command, "--help"])
        assert shown.exit_code == 0
        assert all(word in shown.output for word in rest if word.startswith("-"))


def test_every_path_that_is_named_exists() -> None:
    """Files and folders of the project are where the README says."""
    named = re.findall(r"\b((?:manifests|operator)/[A-Za-z0-9_./-]*[A-Za-z0-9_/])", README)
    assert len(named) >= 5
    for path in named:
        if ".turnout" not in path:
            assert (ROOT / path).exists(), path


def test_the_cluster_samples_pass_the_check() -> None:
    """The three files that the README applies have no mistake."""
    result = CliRunner().invoke(turnout, ["check", str(ROOT / "manifests" / "samples" / "cluster")])
    assert result.exit_code == 0, result.output
