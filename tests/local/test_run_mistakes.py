"""`turnout run`: mistakes of a tired person, at the start and while it runs, and what is left behind."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import openai
import pytest

from harness.ports import free_ports
from harness.router import eventually

DAMAGED_CA = """\
apiVersion: v1
kind: Secret
metadata: {name: ca}
stringData:
  ca.crt: |
    -----BEGIN CERTIFICATE-----
    MAA=
    -----END CERTIFICATE-----
"""


def refusal(process: "subprocess.Popen[str]") -> str:
    """The one line with which it refuses to start."""
    out, err = process.communicate(timeout=20)
    assert process.returncode == 2, err
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    return lines[0]


def add_what_envoy_refuses(laptop) -> str:
    """Put a group with a damaged CA beside the good one; the line that tells of it."""
    good = (laptop.folder / "group.yaml").read_text()
    laptop.write("ca.yaml", DAMAGED_CA)
    laptop.write(
        "other.yaml",
        good.replace("name: assistant", "name: other").replace(
            'baseURL: "http://127.0.0.1', 'caSecretRef: {name: ca, key: ca.crt}, baseURL: "https://127.0.0.1'
        ),
    )
    return str(laptop.said("Envoy refuses"))


def test_a_folder_that_is_not_there(laptop) -> None:
    """The line names the folder."""
    laptop.folder = laptop.folder / "nowhere"
    assert "nowhere does not exist" in refusal(laptop.spawn())


def test_a_file_in_place_of_a_folder(laptop) -> None:
    """`turnout run group.yaml` says what to do."""
    laptop.folder = laptop.folder / "group.yaml"
    assert "is a file; name the directory" in refusal(laptop.spawn())


def test_a_folder_without_manifests(laptop) -> None:
    """There is nothing to serve, and it says so."""
    for path in laptop.folder.glob("*.yaml"):
        path.unlink()
    assert "holds no ModelGroup" in refusal(laptop.spawn())


def test_a_variable_that_is_not_set(laptop) -> None:
    """The line names file, line and variable."""
    line = refusal(laptop.spawn(FIRST_KEY=""))
    assert f"{laptop.folder}/secrets.yaml:4: stringData.api-key" in line
    assert "FIRST_KEY" in line


def test_a_bad_manifest(laptop) -> None:
    """The line names file, line, field and reason."""
    laptop.write("group.yaml", (laptop.folder / "group.yaml").read_text().replace("failures: 3", "failures: many"))
    assert "group.yaml:11: spec.circuit.failures: must be" in refusal(laptop.spawn())


def test_a_missing_secret(laptop) -> None:
    """A reference that leads nowhere is found before anything starts."""
    (laptop.folder / "secrets.yaml").unlink()
    line = refusal(laptop.spawn())
    assert "Secret 'first' does not exist" in line
    assert "(and 1 more: turnout check" in line


def test_a_port_in_use(laptop) -> None:
    """It does not share the port, which Envoy would."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", laptop.port))
        other.listen()
        assert f"127.0.0.1:{laptop.port} is in use" in refusal(laptop.spawn())


def test_a_port_of_another_run(running, laptop, tmp_path: Path) -> None:
    """Two folders on one port: the second one is refused, the first one goes on."""
    other = tmp_path / "other"
    other.mkdir()
    for path in laptop.folder.glob("*.yaml"):
        (other / path.name).write_text(path.read_text())
    first, laptop.process, laptop.folder = laptop.process, None, other
    assert "is in use" in refusal(laptop.spawn())
    laptop.process, laptop.folder = first, tmp_path / "my manifests"
    assert running.ask()[1] == "first"


def test_a_second_run_on_the_same_folder(running) -> None:
    """Two of them would write over each other's files."""
    first, running.port = running.process, free_ports(1)[0]
    assert f"is held by another `turnout run`, process {first.pid}" in refusal(running.spawn())
    running.process = first


def test_no_envoy(laptop) -> None:
    """The line says where it was looked for."""
    assert "/nowhere/envoy cannot be started" in refusal(laptop.spawn("--envoy", "/nowhere/envoy"))


def test_no_room_for_a_fake_provider(laptop) -> None:
    """The line names the port and the model; nothing is left running."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", laptop.ports["first"]))
        other.listen()
        line = refusal(laptop.spawn("--fake-providers"))
    assert f"no fake provider for first on 127.0.0.1:{laptop.ports['first']}" in line
    assert laptop.envoys() == []


def test_a_broken_edit_changes_nothing(running) -> None:
    """It is told in one line, the last good one serves, and mending it is told too."""
    good = (running.folder / "group.yaml").read_text()
    running.write("group.yaml", good.replace("spec:", "spec"))
    line = running.said("group.yaml:5: not YAML")
    assert line.endswith("what was good before stays in use")
    assert running.ask()[1] == "first"
    running.write("group.yaml", good.replace("failures: 3", "failures: -3"))
    running.said("group.yaml:11: spec.circuit.failures: must be")
    assert running.ask()[1] == "first"
    running.write("group.yaml", good)
    running.said("no mistakes left")
    assert running.ask()[1] == "first"


def test_one_broken_object_does_not_hold_up_the_others(running) -> None:
    """A key that is added beside a broken group works at once."""
    running.write("group.yaml", (running.folder / "group.yaml").read_text().replace("failures: 3", "failures: many"))
    running.said("failures")
    running.write("key.yaml", (running.folder / "key.yaml").read_text().replace("name: app", "name: other"))
    running.said("applied in")
    with running.sdk("other") as sdk:
        assert sdk.models.list().data


def test_what_envoy_refuses_is_taken_back(running) -> None:
    """Envoy's own words are told in one line, and the last good configuration goes on, also after a restart."""
    good = (running.folder / "group.yaml").read_text()
    line = add_what_envoy_refuses(running)
    assert f"{running.folder}/other.yaml:1: " in line
    assert "certificate" in line.lower()
    assert running.ask()[1] == "first"
    (running.folder / "other.yaml").unlink()
    time.sleep(0.5)
    running.write("group.yaml", good.replace('output: "2"', 'output: "3"'))
    running.said("applied in")
    assert running.ask()[1] == "first"


def test_what_envoy_refuses_holds_up_nothing_else(running) -> None:
    """A key that is deleted beside it ends at once; the group that is to blame says so in its status."""
    assert running.ask()[1] == "first"
    add_what_envoy_refuses(running)
    with running.sdk() as sdk:
        assert sdk.models.list().data
        (running.folder / "key.yaml").unlink()
        running.said("applied in")
        with pytest.raises(openai.AuthenticationError):
            sdk.models.list()
    assert not (running.home / "keys" / "app.env").exists()
    statuses = running.home / "status" / "modelgroups"
    assert "reason: Rejected" in (statuses / "other.yaml").read_text()
    assert "reason: Rejected" not in (statuses / "assistant.yaml").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_after_a_signal(running, number: int) -> None:
    """Exit code 0, no Envoy, no socket, and the ports are free again."""
    assert len(running.envoys()) == 1
    assert running.stop(number) == 0
    assert running.envoys() == []
    assert not (running.home / "admin.sock").exists()
    for port in (running.port, *running.ports.values()):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_a_request_under_way_is_waited_for(running) -> None:
    """Ctrl-C lets the answer that is being given reach its client."""
    running.tell("first", "slow:1.5")
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(running.ask()[1]))
    thread.start()
    eventually(lambda: running.seen("first"))
    assert running.stop() == 0
    thread.join()
    assert answers == ["first"]


def test_a_second_ctrl_c_does_not_wait(running) -> None:
    """Whoever is in a hurry gets out at once."""
    running.tell("first", "hang")
    failures: list[str] = []

    def ask() -> None:
        try:
            running.ask()
        except openai.OpenAIError as error:
            failures.append(type(error).__name__)

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: running.seen("first"))
    running.process.send_signal(signal.SIGINT)
    running.said("Ctrl-C again")
    start = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - start < 15, "without a second Ctrl-C it would be 30 s"
    thread.join()
    assert len(failures) == 1


def test_envoy_does_not_outlive_a_kill(running) -> None:
    """Even kill -9 leaves no Envoy behind."""
    running.process.kill()
    running.process.wait()
    deadline = time.monotonic() + 3
    while running.envoys() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.envoys() == []


def test_a_start_after_a_kill(running) -> None:
    """What a killed run left does not keep the next one from serving, with the same keys."""
    before = running.env()
    running.process.kill()
    running.process.wait()
    assert running.start().env() == before
    assert running.ask()[1] == "first"


def test_an_envoy_that_dies_ends_the_run(running) -> None:
    """It says so and fails, so that whatever supervises it can start it again."""
    os.kill(running.envoys()[0], signal.SIGKILL)
    assert running.process.wait(10) == 2
    running.said("Envoy ended by itself")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{running.port}/")


def test_a_long_path(laptop, tmp_path: Path) -> None:
    """A folder whose path is longer than a socket's may be works like any other."""
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    laptop.folder = laptop.folder.rename(deep / "f")
    assert laptop.start().ask()[1] == "first"


def test_one_of_several_namespaces(laptop) -> None:
    """Somebody must choose; mistakes of the others do not matter then."""
    group = (laptop.folder / "group.yaml").read_text()
    for name in ("a", "b"):
        laptop.write(f"{name}.yaml", group.replace("{name: assistant}", f"{{name: assistant, namespace: {name}}}"))
    (laptop.folder / "group.yaml").unlink()
    for name, text in (("key", "name: app"), ("secrets", "name: first"), ("secrets", "name: second")):
        path = laptop.folder / f"{name}.yaml"
        laptop.write(path.name, path.read_text().replace(f"{{{text}}}", f"{{{text}, namespace: b}}"))
    assert "holds the namespaces a, b; choose one with --namespace" in refusal(laptop.spawn())
    assert laptop.start("--namespace", "b").ask()[1] == "first"


def test_a_changed_credential_reaches_the_provider(running) -> None:
    """Within seconds, as in a cluster."""
    secrets = (running.folder / "secrets.yaml").read_text()
    running.write("secrets.yaml", secrets.replace("${FIRST_KEY}", "credential-three"))
    running.said("applied in")
    assert running.ask()[1] == "first"
    assert running.seen("first")[-1]["headers"]["authorization"] == "Bearer credential-three"
