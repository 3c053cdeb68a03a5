"""`turnout adopt DIR`: the edit that makes a canary the primary, as a patch; and what it says of mistakes."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from turnout.cli.main import turnout

GROUP = """\
apiVersion: turnout.dev/v1alpha1
kind: ModelGroup
metadata: {name: assistant}
spec:
  models:
  - {name: old, endpoint: {baseURL: "http://old/v1"}, price: {input: "1"}}
  - {name: new, endpoint: {baseURL: "http://new/v1"}, fallback: false, features: [tools]}
  - {name: spare, endpoint: {baseURL: "http://spare/v1"}}
"""
ROLLOUT = """\
apiVersion: turnout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: to-new}
spec: {modelGroup: assistant, model: new, steps: [{weight: 5, hold: 1h}, {weight: 100}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of manifests."""
    (tmp_path / "group.yaml").write_text(GROUP)
    (tmp_path / "rollout.yaml").write_text(ROLLOUT)
    return tmp_path


def adopt(folder: Path, name: str = "to-new", *more: str) -> tuple[int, str, str]:
    """Exit code, output, and what was said beside it."""
    result = CliRunner().invoke(turnout, ["adopt", name, str(folder), *more])
    return result.exit_code, result.stdout, result.stderr


def test_the_patch_names_the_canary_first_and_keeps_what_was_written(folder: Path) -> None:
    """But that it is no fallback, which a primary is. Not promoted yet: it says so, beside the patch."""
    code, out, said = adopt(folder)
    models = yaml.safe_load(out)["spec"]["models"]
    new = {"name": "new", "endpoint": {"baseURL": "http://new/v1"}, "features": ["tools"]}
    before = yaml.safe_load(GROUP)["spec"]["models"]
    assert (code, models) == (0, [new, before[0], before[2]])
    assert said == "careful: CanaryRollout 'to-new' is not under way, not Promoted\n"


def test_what_is_adopted_already_needs_nothing(folder: Path) -> None:
    """No patch at all."""
    (folder / "rollout.yaml").write_text(ROLLOUT.replace("model: new", "model: old"))
    assert adopt(folder) == (0, "", "'old' is the primary of ModelGroup 'assistant' already\n")


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (ROLLOUT, "to-nwe", 'did you mean "to-new"?'),
        (ROLLOUT.replace("assistant", "assistent"), "to-new", 'did you mean "assistant"?'),
        (ROLLOUT.replace("model: new", "model: gone"), "to-new", "has no model 'gone'"),
    ],
)
def test_mistakes_are_one_line(folder: Path, change: str, name: str, words: str) -> None:
    """And nothing on the output."""
    (folder / "rollout.yaml").write_text(change)
    code, out, said = adopt(folder, name)
    assert (code, out) == (2, "")
    assert words in said
    assert len(said.splitlines()) == 1


def test_a_rollout_of_the_namespace_is_meant(folder: Path) -> None:
    """With two namespaces in the folder one must be chosen, and its own group is patched."""
    for name in ("group", "rollout"):
        text = (folder / f"{name}.yaml").read_text().replace("metadata: {", "metadata: {namespace: prod, ")
        (folder / f"{name}.yaml").write_text(text)
        dev = text.replace("namespace: prod", "namespace: dev").replace("http://", "http://dev-")
        (folder / f"a-{name}.yaml").write_text(dev)
    said = f"Error: {folder} holds the namespaces dev, prod; choose one with --namespace\n"
    assert adopt(folder) == (2, "", said)
    code, out, _ = adopt(folder, "to-new", "-n", "prod")
    assert (code, "http://new/v1" in out, "dev-" in out) == (0, True, False)
