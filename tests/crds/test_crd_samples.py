"""Malformed and well-formed manifests before the real API server and before our own models: both must say the same."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster import ApiServer
from turnout.api.crds import KINDS
from turnout.api.problems import problems

HERE = Path(__file__).parent
CRDS = HERE.parents[1] / "crds"


@dataclass(frozen=True)
class Sample:
    """One manifest. Line 1: what it is about. `# expect:`: the API server's words; `# check:`: ours, if they differ."""

    path: Path
    text: str

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, parsed."""
        parsed: dict[str, Any] = yaml.safe_load(self.text)
        return parsed

    @property
    def server_words(self) -> str:
        """A part of what the API server answers."""
        return self._after("# expect: ")

    @property
    def our_words(self) -> str:
        """A part of `path: reason` of our own check."""
        return self._after("# check: ") or self.server_words

    def _after(self, mark: str) -> str:
        return next((line.removeprefix(mark) for line in self.text.splitlines() if line.startswith(mark)), "")


def samples(folder: str) -> list[Sample]:
    """All of one folder, sorted by name."""
    return [Sample(path, path.read_text(encoding="utf-8")) for path in sorted((HERE / folder).glob("*.yaml"))]


def ids(sample: Sample) -> str:
    """Name of the file."""
    return sample.path.stem


@pytest.fixture(scope="session")
def server(api_server: ApiServer) -> ApiServer:
    """The API server with our CRDs, as `kubectl apply -k crds` installs them."""
    api_server.kubectl("apply", "-k", str(CRDS))
    names = [f"crd/{kind.plural}.turnout.dev" for kind in KINDS]
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
    return api_server


@pytest.mark.parametrize("sample", samples("malformed"), ids=ids)
def test_the_api_server_refuses_a_malformed_sample_in_words(server: ApiServer, sample: Sample) -> None:
    """What kubectl shows contains the expected words, for each mistake."""
    assert sample.server_words in server.refused(sample.text)


@pytest.mark.parametrize("sample", samples("malformed"), ids=ids)
def test_our_models_refuse_a_malformed_sample_in_words(sample: Sample) -> None:
    """Our own check finds the one mistake of each sample, and says the expected words."""
    assert sample.server_words
    found = [f"{problem.path}: {problem.reason}" for problem in problems(sample.manifest)]
    assert len(found) == 1
    assert sample.our_words in found[0]


@pytest.mark.parametrize("sample", samples("wellformed"), ids=ids)
def test_the_api_server_takes_a_wellformed_sample(server: ApiServer, sample: Sample) -> None:
    """Strict validation finds nothing."""
    server.kubectl("create", "--dry-run=server", "-f", "-", stdin=sample.text)


@pytest.mark.parametrize("sample", samples("wellformed"), ids=ids)
def test_our_models_take_a_wellformed_sample(sample: Sample) -> None:
    """Our own check finds nothing."""
    assert problems(sample.manifest) == []


def test_kubectl_explain_says_what_a_model_is(server: ApiServer) -> None:
    """Fields of a model come with their meaning, unit and default."""
    text = " ".join(server.kubectl("explain", "modelgroup.spec.models").split())
    for words in (
        "The chain, 1 to 16 models with unique names. The first is the primary",
        "endpoint <Object> -required- Where the model is asked, and with which credential.",
        "upstreamName <string> What the provider calls the model, at most 256 characters. Default: `name`.",
        "price <Object> What tokens cost, in USD per million.",
        "has no effect yet",
    ):
        assert words in text


def test_kubectl_get_shows_what_a_person_wants(server: ApiServer) -> None:
    """Short names, categories and printer columns are there."""
    least = next(sample for sample in samples("wellformed") if sample.path.stem == "group-least")
    server.kubectl("create", "-f", "-", stdin=least.text)
    try:
        header, row = server.kubectl("get", "mg").splitlines()
        assert header.split() == ["NAME", "MODELS", "PRIMARY", "READY", "FALLBACK", "AGE"]
        assert row.split()[0] == "local"
        assert "modelgroup.turnout.dev/local" in server.kubectl("get", "turnout", "-o", "name")
    finally:
        server.kubectl("delete", "mg", "local")
