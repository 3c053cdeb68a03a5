"""Malformed and well-formed manifests before the real API server and before our own models: both must say the same."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster import ApiServer
from turnout.api.canaryrollout_status import (
    Action,
    ArmErrors,
    ArmLatency,
    ArmStatus,
    BrokenStatus,
    CanaryRolloutStatus,
    DecisionStatus,
    Gate,
    GateStatus,
    GateVerdict,
    LedgerStatus,
    MemoryStatus,
    MissingStatus,
    RolloutPhase,
    RouterCounts,
    WeightStatus,
)
from turnout.api.common import Condition, ConditionStatus, ConditionType
from turnout.api.crds import KINDS
from turnout.api.modelgroup_status import CircuitState, LatencyStatus, ModelGroupStatus, ModelStatus
from turnout.api.problems import problems
from turnout.api.scopedkey import (
    KeyPhase,
    KeyUsage,
    ModelUse,
    PeriodUse,
    RevocationStatus,
    ScopedKeyStatus,
    TokenState,
    TokenStatus,
)

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


@pytest.mark.parametrize("path", sorted((HERE.parents[1] / "manifests" / "samples").rglob("*.yaml")), ids=str)
def test_the_samples_for_users_are_good(server: ApiServer, path: Path) -> None:
    """What we tell people to apply is taken by the API server and by our own check."""
    text = path.read_text(encoding="utf-8")
    server.kubectl("create", "--dry-run=server", "-f", "-", stdin=text)
    ours = [raw for raw in yaml.safe_load_all(text) if raw["apiVersion"].startswith("turnout.dev/")]
    assert [problems(raw) for raw in ours] == [[] for _ in ours]


@pytest.mark.parametrize("name", ["group-full", "key-full", "rollout-full"])
def test_the_same_manifest_applied_again_writes_nothing(server: ApiServer, name: str) -> None:
    """As Argo CD applies it, with the operator's status in between: no generation, no version, no drift."""
    server.make_namespace(f"again-{name}")
    sample = next(sample for sample in samples("wellformed") if sample.path.stem == name)
    apply = ("apply", "--server-side", "--field-manager=argocd", "-n", f"again-{name}", "-o", "json", "-f", "-")
    document = {**sample.manifest, "metadata": {"name": sample.manifest["metadata"]["name"]}}
    text = yaml.safe_dump({key: value for key, value in document.items() if key != "status"})
    first = json.loads(server.kubectl(*apply, stdin=text))
    kind, own = first["kind"].lower(), {"observedGeneration": 1}
    patch = json.dumps({"status": own})
    where = (kind, first["metadata"]["name"], "-n", f"again-{name}")
    server.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", patch)
    before = json.loads(server.kubectl("get", *where, "-o", "json"))["metadata"]
    after = json.loads(server.kubectl(*apply, stdin=text))
    assert after["metadata"]["resourceVersion"] == before["resourceVersion"]
    assert (after["metadata"]["generation"], after["status"]) == (1, own)


def test_kubectl_explain_says_what_a_model_is(server: ApiServer) -> None:
    """Fields of a model come with their meaning, unit and default."""
    text = " ".join(server.kubectl("explain", "modelgroup.spec.models").split())
    for words in (
        "The chain, 1 to 16 models with unique names. The first is the primary",
        "endpoint <Object> -required- Where the model is asked, and with which credential.",
        "upstreamName <string> What the provider calls the model, at most 256 characters. Default: `name`.",
        "price <Object> What tokens cost, in USD per million.",
    ):
        assert words in text


NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
CONDITIONS = tuple(
    Condition(type=type_, status=ConditionStatus.TRUE, reason="Because", message="It is so.", last_transition_time=NOW)
    for type_ in ConditionType
)
HALF = Decimal("0.5")
JUDGED = GateStatus(
    gate=Gate.COST,
    verdict=GateVerdict.PASS,
    baseline=HALF,
    canary=HALF,
    low=-HALF,
    high=HALF,
    limit=HALF,
    message="Ok.",
)
MODEL_USED = ModelUse(group="assistant", model="gpt-4.1", requests=3, tokens=1500, usd=Decimal("0.25"))
USED = PeriodUse(since=NOW, requests=3, tokens=1500, usd=Decimal("0.25"), models=(MODEL_USED,))
STATUSES = {
    "group-least": ModelGroupStatus(
        observed_generation=1,
        conditions=CONDITIONS,
        url="http://turnout-router.ai.svc/v1",
        version="5f" * 32,
        primary="llama3.2",
        model_count=1,
        fallback_share=Decimal("0.012"),
        models=(
            ModelStatus(
                name="llama3.2",
                circuit=CircuitState.HALF_OPEN,
                health=97,
                share=HALF,
                requests_per_minute=Decimal("12.25"),
                error_rate=Decimal(0),
                latency=LatencyStatus(mean=timedelta(milliseconds=350), p95=timedelta(seconds=61)),
                cost_per1k_tokens=Decimal("0.000000000001"),
                last_warmed=NOW,
            ),
        ),
    ),
    "key-all": ScopedKeyStatus(
        observed_generation=1,
        conditions=CONDITIONS,
        phase=KeyPhase.ROTATING,
        secret_name="root",
        tokens=(TokenStatus(id="7f3a", state=TokenState.DRAINING, issued_at=NOW, last_used_at=NOW),),
        expires_at=NOW,
        last_revocation=RevocationStatus(token="7f3b", asked_at=NOW, took_ms=412),
        usage=KeyUsage(today=USED, month=USED),
    ),
    "rollout-least": CanaryRolloutStatus(
        observed_generation=1,
        conditions=CONDITIONS,
        phase=RolloutPhase.HOLDING,
        reason="NoData",
        message="Wait.",
        step=2,
        weight=WeightStatus(desired=25, applied=25, observed=HALF, observed_low=HALF, observed_high=HALF),
        step_started_at=NOW,
        held=timedelta(minutes=90),
        analysis=(JUDGED,),
        evidence=(
            ArmStatus(
                arm="canary",
                requests=200,
                error_rate=HALF,
                errors=(ArmErrors(result="timeout", count=100),),
                latency=ArmLatency(mean_ms=HALF, p95_ms=HALF),
                first_token=ArmLatency(mean_ms=HALF, p95_ms=HALF),
                tokens=9,
                cost_per_1k_tokens=HALF,
            ),
        ),
        missing=MissingStatus(silent=("pod/0",), silent_count=1, gone=2),
        broken=BrokenStatus(looks=1, now=True, message="No."),
        decisions=(
            DecisionStatus(
                at=NOW, action=Action.HOLD, step=2, weight=25, reason="NoData", message="Wait.", analysis=(JUDGED,)
            ),
        ),
        ledger=LedgerStatus(
            period=2,
            looked_at=NOW,
            canary="ok=100 timeout=100",
            routers=(RouterCounts(life="pod/0", canary="ok=1"),),
        ),
        memory=MemoryStatus(run="1f", runs=1, steps_hash="a", spec_hash="b", left_step=1, counted_at=NOW),
    ),
}
COLUMNS = {
    "group-least": ("NAME MODELS PRIMARY READY FALLBACK AGE", "local 1 llama3.2 True 0.012"),
    "key-all": ("NAME PHASE SECRET EXPIRES USD READY AGE", "root Rotating root 2026-11-22T18:00:00Z 0.25 True"),
    "rollout-least": (
        "NAME GROUP MODEL PHASE STEP WEIGHT AGE",
        "to-llama assistant meta-llama/Llama-3.1-8B Holding 2 25",
    ),
}
SHORT_NAMES = {"group-least": "mg", "key-all": "sk", "rollout-least": "cnr"}


@pytest.mark.parametrize("stem", STATUSES)
def test_a_whole_status_is_stored_and_shown(server: ApiServer, stem: str) -> None:
    """Every field of a status comes back after server-side apply, and kubectl shows what a person wants."""
    sample = next(sample for sample in samples("wellformed") if sample.path.stem == stem)
    kind, status = SHORT_NAMES[stem], STATUSES[stem].to_json()
    name = sample.manifest["metadata"]["name"]
    server.kubectl("create", "-f", "-", stdin=sample.text)
    try:
        identity = {field: sample.manifest[field] for field in ("apiVersion", "kind")} | {"metadata": {"name": name}}
        apply = ("apply", "--server-side", "--field-manager=turnout", "--subresource=status", "-f", "-")
        server.kubectl(*apply, stdin=yaml.safe_dump({**identity, "status": status}))
        stored = server.get(kind, name)
        assert stored is not None
        assert stored["status"] == status
        header, row = (" ".join(line.split()) for line in server.kubectl("get", kind).splitlines())
        assert header == COLUMNS[stem][0]
        assert row.startswith(COLUMNS[stem][1])
        assert f"/{name}" in server.kubectl("get", "turnout", "-o", "name")
    finally:
        server.kubectl("delete", kind, name)


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_a_chain_applied_in_another_order_has_that_order(server: ApiServer, how: tuple[str, ...]) -> None:
    """Models are merged by name; what is applied last still decides which is the primary."""
    least = next(sample.manifest for sample in samples("wellformed") if sample.path.stem == "group-least")
    endpoint = least["spec"]["models"][0]["endpoint"]
    try:
        for chain in ("abc", "cba", "zcab", "bz"):
            spec = {"models": [{"name": name, "endpoint": endpoint} for name in chain]}
            server.kubectl("apply", *how, "-f", "-", stdin=yaml.safe_dump({**least, "spec": spec}))
            stored = server.get("mg", least["metadata"]["name"])
            assert stored is not None
            assert "".join(model["name"] for model in stored["spec"]["models"]) == chain
    finally:
        server.kubectl("delete", "mg", least["metadata"]["name"], "--ignore-not-found")
