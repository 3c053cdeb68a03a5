"""`turnout run`: what it serves, hands out and reports."""

import json
import stat
import threading
from datetime import UTC, datetime, timedelta

import httpx
import openai
import pytest
import yaml

from harness.ports import free_ports
from harness.router import eventually


def test_the_sdk_gets_an_answer_with_nothing_but_the_env_file(running) -> None:
    """The first model answers, under the provider's own path and with its own credential, never with the client's."""
    text, model = running.ask()
    assert text.startswith("Hello")
    assert model == "first"
    seen = running.seen("first")[-1]
    assert seen["headers"]["authorization"] == "Bearer credential-one"
    assert seen["path"] == "/v1/chat/completions"


def test_a_dead_primary_is_made_good_by_the_next_model(running) -> None:
    """No request fails when the primary goes down or when it comes back; each model is asked under its own path."""
    running.tell("first", "down")
    assert {running.ask()[1] for _ in range(6)} == {"second"}
    assert running.seen("second")[-1]["path"] == "/base/path/chat/completions"
    running.said("first: circuit Open")
    running.tell("first", "ok")
    eventually(lambda: running.ask()[1] == "first", within=30)


def test_streams_pass_through(running) -> None:
    """A stream arrives in pieces and ends with its usage if it was asked for."""
    with running.sdk() as sdk:
        stream = sdk.chat.completions.create(
            model="assistant",
            messages=[{"role": "user", "content": "hello"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert len(chunks) > 10
    assert chunks[-1].usage


def test_a_wrong_key_is_refused(running) -> None:
    """Nobody gets in without a key that was issued here."""
    with running.sdk(api_key="sk-guess") as sdk, pytest.raises(openai.AuthenticationError):
        sdk.models.list()


def test_requests_are_logged_when_asked(laptop) -> None:
    """A line of JSON each in a private file of its own; the terminal's output and Envoy's own log have none."""
    laptop.start("--access-log")
    laptop.ask()
    path = laptop.home / "access.log"
    laptop.said(f"requests are logged in {path.resolve()}")
    # Turnout's own question whether the router accepts the new token stands there, too.
    line = eventually(lambda: [line for line in map(json.loads, path.read_text().splitlines()) if "model" in line])[0]
    assert (line["key"], line["asked"], line["model"]) == ("app", "assistant", "first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "requestId" not in (laptop.home / "envoy.log").read_text()


def test_requests_are_not_logged_unasked(running) -> None:
    """There is no such file."""
    running.ask()
    running.stop()
    assert not (running.home / "access.log").exists()
    assert "requestId" not in (running.home / "envoy.log").read_text()


def test_what_is_kept_is_private(running) -> None:
    """DIR/.turnout and all in it can be read by their owner only, and Git does not take them."""
    folders = [running.home, *(p for p in running.home.rglob("*") if p.is_dir() and not p.is_symlink())]
    files = [p for p in running.home.rglob("*") if p.is_file() and not p.is_symlink()]
    assert {stat.S_IMODE(p.stat().st_mode) for p in folders} == {0o700}
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}
    assert (running.home / ".gitignore").read_text() == "*\n"


def test_secrets_are_never_in_what_it_says(running) -> None:
    """Log lines, statuses and Envoy's log hold neither credentials nor tokens."""
    running.tell("first", "401")
    running.ask()
    running.said("first: the provider refuses: 401")
    token = running.env()["OPENAI_API_KEY"]
    texts = ["\n".join(running.lines), (running.home / "envoy.log").read_text()]
    texts += [p.read_text() for p in running.home.glob("status/*/*.yaml")]
    for secret in (token, "credential-one", "credential-two"):
        assert not any(secret in text for text in texts)


def test_statuses_are_what_kubectl_would_show(running) -> None:
    """Group and key are Ready, name their version and phase; an opened circuit shows within seconds."""
    group = yaml.safe_load((running.home / "status/modelgroups/assistant.yaml").read_text())
    assert {c["type"]: c["status"] for c in group["status"]["conditions"]}["Ready"] == "True"
    assert group["status"]["url"] == running.env()["OPENAI_BASE_URL"]
    key = yaml.safe_load((running.home / "status/scopedkeys/app.yaml").read_text())
    assert key["status"]["phase"] == "Active"
    running.tell("first", "down")
    for _ in range(4):
        running.ask()
    running.said("circuit Open")
    eventually(lambda: circuit(running) == "Open")


def circuit(laptop) -> str:
    """What the group's status says of its first model."""
    group = yaml.safe_load((laptop.home / "status/modelgroups/assistant.yaml").read_text())
    return group["status"]["models"][0]["circuit"]


def test_keys_survive_a_restart(laptop) -> None:
    """A program that has its token keeps working."""
    laptop.start()
    before = laptop.env()
    laptop.stop()
    laptop.start()
    assert laptop.env() == before
    assert laptop.ask()[1] == "first"


def test_an_edit_applies_while_requests_fly(running) -> None:
    """Thirty edits under load: each is taken up, and no request fails."""
    failures: list[str] = []
    done = threading.Event()

    def load() -> None:
        with running.sdk() as sdk:
            while not done.is_set():
                try:
                    sdk.chat.completions.create(
                        model="assistant", messages=[{"role": "user", "content": "x"}], max_tokens=1
                    )
                except openai.OpenAIError as error:
                    failures.append(repr(error))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    text = (running.folder / "group.yaml").read_text()
    for number in range(30):
        running.lines.clear()
        running.write("group.yaml", text.replace('output: "2"', f'output: "{number + 3}"'))
        running.said("applied in")
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_deleted_key_is_refused_and_its_files_go(running) -> None:
    """Within two seconds the token is dead on the router, and nothing of it is left in the folder."""
    env = running.env()
    (running.folder / "key.yaml").unlink()
    running.said("applied in")
    answer = httpx.get(f"{env['OPENAI_BASE_URL']}/models", headers={"Authorization": f"Bearer {env['OPENAI_API_KEY']}"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    for path in ("keys/app.env", "secrets/app.yaml", "status/scopedkeys/app.yaml"):
        eventually(lambda path=path: not (running.home / path).exists(), why=path)
    assert env["OPENAI_API_KEY"] not in (running.home / "keyring.json").read_text()


def test_a_new_model_gets_its_fake_provider(running) -> None:
    """Whoever tries things out with --fake-providers can add a model at a new port and use it."""
    text = (running.folder / "group.yaml").read_text()
    running.write("group.yaml", text.replace(f":{running.ports['first']}/", f":{free_ports(1)[0]}/"))
    running.said("applied in")
    assert running.ask()[1] == "first"


def test_a_key_that_expires_is_taken_back(running) -> None:
    """The router refuses it by itself; its files go and its status says Expired within seconds, without an edit."""
    env = running.env()
    soon = (datetime.now(UTC) + timedelta(seconds=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = (running.folder / "key.yaml").read_text()
    running.write("key.yaml", key.replace('modelGroups: ["*"]', f'modelGroups: ["*"], expiresAt: "{soon}"'))
    running.said("applied in")
    assert running.env() == env, "it has not expired yet"
    eventually(lambda: not (running.home / "keys/app.env").exists(), within=30)
    answer = httpx.get(f"{env['OPENAI_BASE_URL']}/models", headers={"Authorization": f"Bearer {env['OPENAI_API_KEY']}"})
    assert answer.status_code == 401
    path = running.home / "status/scopedkeys/app.yaml"
    eventually(lambda: yaml.safe_load(path.read_text())["status"]["phase"] == "Expired")
