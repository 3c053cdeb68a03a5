"""The README's commands, run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from turnout.cli.main import turnout

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LOOPBACK_UP = 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))'
"""SIOCSIFFLAGS with IFF_UP: what `ip link set lo up` does, on machines without it too."""


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shell(script: str, *prefix: str) -> str:
    """What a bash in the project's folder prints; must succeed."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [*prefix, "bash", "-euc", script]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_quickstart_does_what_it_says() -> None:
    """Answer, stream, provider down, answer of another model: with the commands of the README.

    In a network of its own, because its ports are fixed and may be taken by whoever is trying it out meanwhile; and
    with process numbers of its own, so that nothing outlives it.
    """
    run, ask, down = blocks("sh")[:3]
    python = blocks("python")[0]
    steps = [
        f"{sys.executable} -c '{LOOPBACK_UP}'",
        "set -m; log=$(mktemp)",
        f"{run.strip()} >$log 2>&1 &",
        "for _ in $(seq 300); do grep -q '^ready' $log && break; sleep 0.1; done; cat $log",
        f"echo; echo =====; {ask}",
        f"echo; echo =====; python - <<'END'\n{python}\nEND",
        f"echo; echo =====; {down}",
        f"echo; echo =====; {ask}",
        "kill -INT %1; wait %1 || true; rm $log",
    ]
    alone = ["unshare", "--net", "--pid", "--fork", "--kill-child"]
    shell("make venv")  # which may need the network
    if os.geteuid() != 0:
        alone += ["--user", "--map-root-user"]
    ready, before, stream, _, after = shell("\n".join(steps), *alone).split("=====\n")
    assert run.strip() == "make run"
    assert "ready http://127.0.0.1:4000/v1\n" in ready
    assert "x-turnout-model: deepseek-v3.2" in before
    assert "Hello" in stream
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
    assert len(lines) == 7
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
