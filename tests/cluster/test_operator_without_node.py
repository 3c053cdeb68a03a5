"""The operator against a real API server without any node: what it writes, what it leaves alone, and how often."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.cluster import ApiServer, Object, find_condition
from harness.manifests import group, key, model
from harness.namespaced import install_namespaced

NAMESPACE = "no-node"
ROUTER = "turnout-router"
ROOT = Path(__file__).parents[2]


class Operator:
    """`turnout operator` as a process beside the API server, with the rights that manifests/namespaced gives it."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        """Install it in the namespace; folder: for its kubeconfig."""
        self.api = api
        self.process: subprocess.Popen[str] | None = None
        token = install_namespaced(api, NAMESPACE, folder)
        self.config = folder / "kubeconfig"
        config = yaml.safe_load(api.plane.kubeconfig("admin").read_text())
        config["users"][0]["user"] = {"token": token}
        self.config.write_text(yaml.safe_dump(config))

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        env = {
            "KUBECONFIG": str(self.config),
            "PYTHONPATH": str(ROOT / "operator"),
            "TURNOUT_NAMESPACE": NAMESPACE,
            "TURNOUT_PORT": "18081",
        }
        command = [sys.executable, "-m", "turnout", "operator"]
        self.process = self.api.namespace.start("operator-without-node", command, env=env)
        self.api.wait_for(lambda: "turnout_api_writes_total" in self.metrics(), "the operator up", 60)

    def stop(self) -> None:
        """End it as the kubelet would, and check that it ended well."""
        assert self.process is not None
        pid = self.api.namespace.run(["pgrep", "-f", "turnout operator"]).split()
        self.api.namespace.run(["kill", f"-{signal.SIGTERM}", *pid])
        assert self.process.wait(60) == 0
        self.process = None

    def metrics(self) -> str:
        """What it says of itself."""
        with contextlib.suppress(Exception):
            return self.api.namespace.run(["curl", "-sf", "http://127.0.0.1:18081/metrics"])
        return ""

    def writes(self) -> float:
        """Writes to the API server since it started."""
        line = next(line for line in self.metrics().splitlines() if line.startswith("turnout_api_writes_total "))
        return float(line.split()[1])

    def quiet(self) -> bool:
        """Whether it has nothing more to write."""
        before = self.writes()
        time.sleep(1.5)
        return self.writes() == before


@pytest.fixture(scope="module")
def operator(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A running operator and a namespace with a group and a key."""
    api_server.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    api_server.kubectl("wait", "--for=condition=Established", "crd", "--all")
    api_server.make_namespace(NAMESPACE)
    api_server.apply(group_of("a", "b"), named(key("app")), namespace=NAMESPACE)
    made = Operator(api_server, tmp_path_factory.mktemp("operator"))
    made.start()
    try:
        api_server.wait_for(lambda: api_server.get("deployment", ROUTER, NAMESPACE), "a router", 60)
    except AssertionError:
        print((api_server.namespace.logs / "operator-without-node.log").read_text())
        raise
    yield made
    if made.process:
        made.stop()
    api_server.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def group_of(*names: str) -> Object:
    """The group `assistant` over these models, none of which exists."""
    return named(group("assistant", *(model(name, f"http://{name}.invalid/v1") for name in names)))


def named(obj: Object) -> Object:
    """The object without a namespace of its own."""
    return {**obj, "metadata": {"name": obj["metadata"]["name"]}}


def test_a_person_owns_the_number_of_replicas(operator: Operator) -> None:
    """Created with two that belong to nobody; what a person sets outlives changes of the router."""
    api = operator.api
    deployment = api.get("deployment", ROUTER, NAMESPACE)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 2
    api.kubectl("scale", "deployment", ROUTER, "-n", NAMESPACE, "--replicas=5")
    api.kubectl("set", "image", f"deployment/{ROUTER}", "router=elsewhere", "-n", NAMESPACE)

    def healed() -> bool:
        found = api.get("deployment", ROUTER, NAMESPACE)
        return bool(found) and found["spec"]["template"]["spec"]["containers"][0]["image"] != "elsewhere"

    api.wait_for(healed, "the image put back")
    deployment = api.get("deployment", ROUTER, NAMESPACE)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 5


def keys(operator: Operator, *arguments: str) -> tuple[str, str]:
    """`turnout keys` with the configuration of the cluster's administrator; stdout and stderr."""
    env = {"KUBECONFIG": str(operator.api.plane.kubeconfig("admin")), "PYTHONPATH": str(ROOT / "operator")}
    command = operator.api.namespace.argv([sys.executable, "-m", "turnout", "keys", *arguments, "-n", NAMESPACE])
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env=operator.api.namespace.environment(env)
    )
    return run.stdout, run.stderr


def test_the_command_line_changes_what_the_user_owns(operator: Operator) -> None:
    """Only the spec, with what to commit; a key that does not exist is one line."""
    operator.api.apply(named(key("billing")), namespace=NAMESPACE)
    out, _ = keys(operator, "rotate", "billing", "--emergency")
    found = operator.api.get("scopedkey", "billing", NAMESPACE)
    assert found is not None
    rotation = found["spec"]["rotation"]
    assert rotation["emergency"] is True
    assert yaml.safe_load(out[out.index("spec:") : out.index("Watch it")]) == {"spec": {"rotation": rotation}}
    assert [line.split()[0] for line in keys(operator, "list")[0].splitlines()] == ["NAME", "app", "billing"]
    unknown = keys(operator, "revoke", "biling")[1]
    assert unknown.endswith("Error: ScopedKey 'biling' does not exist; did you mean \"billing\"?\n")
    keys(operator, "revoke", "billing")

    def phase() -> str:
        return str((operator.api.get("scopedkey", "billing", NAMESPACE) or {}).get("status", {}).get("phase"))

    operator.api.wait_for(lambda: phase() == "Revoked", "revoked")
    assert "is revoked" in keys(operator, "rotate", "billing")[1]
    operator.api.kubectl("delete", "scopedkey", "billing", "-n", NAMESPACE)


@pytest.mark.parametrize("kind", ["service", "configmap", "networkpolicy", "poddisruptionbudget", "serviceaccount"])
def test_what_somebody_deletes_comes_back(operator: Operator, kind: str) -> None:
    """Each part of a router."""
    before = operator.api.get(kind, ROUTER, NAMESPACE)
    assert before is not None
    operator.api.kubectl("delete", kind, ROUTER, "-n", NAMESPACE)

    def back() -> bool:
        found = operator.api.get(kind, ROUTER, NAMESPACE)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    operator.api.wait_for(back, f"the {kind} again")


def test_a_key_is_not_handed_out_before_a_router_knows_it(operator: Operator) -> None:
    """Without a single router it stays Pending, its token in the keyring alone."""
    api = operator.api
    found = api.get("scopedkey", "app", NAMESPACE)
    assert found is not None
    assert found["status"]["phase"] == "Pending"
    assert api.get("secret", "app", NAMESPACE) is None
    keyring = api.get("secret", "turnout-keyring", NAMESPACE)
    assert keyring is not None
    assert set(keyring["data"]) == {"app"}


def test_a_foreign_secret_is_left_alone(operator: Operator) -> None:
    """A key that would overwrite somebody's Secret says so."""
    api = operator.api
    api.kubectl("create", "secret", "generic", "theirs", "-n", NAMESPACE, "--from-literal=a=b")
    api.apply(named(key("greedy", secretName="theirs")), namespace=NAMESPACE)

    def conflict() -> bool:
        condition = find_condition(api.get("scopedkey", "greedy", NAMESPACE) or {}, "Accepted")
        return bool(condition) and condition["reason"] == "SecretConflict"

    api.wait_for(conflict, "a conflict")
    secret = api.get("secret", "theirs", NAMESPACE)
    assert secret is not None
    assert set(secret["data"]) == {"a"}
    api.kubectl("delete", "scopedkey", "greedy", "-n", NAMESPACE)


def test_a_second_operator_writes_nothing(operator: Operator) -> None:
    """Stopped and started on an unchanged cluster: not one write."""
    operator.api.wait_for(operator.quiet, "nothing more to write", 30)
    operator.stop()
    operator.start()
    time.sleep(6)
    assert operator.writes() == 0


def test_a_key_deleted_while_the_operator_was_away_is_forgotten(operator: Operator) -> None:
    """Its token leaves keyring and configuration as soon as an operator is back."""
    api = operator.api
    operator.stop()
    api.kubectl("delete", "scopedkey", "app", "-n", NAMESPACE)
    operator.start()
    api.wait_for(lambda: api.get("secret", "turnout-keyring", NAMESPACE) is None, "an empty keyring gone", 60)


def test_an_expired_key_says_so_on_time(operator: Operator) -> None:
    """Nothing happens in the cluster at that moment; the operator wakes by itself."""
    api = operator.api
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 20))
    api.apply(named(key("short", expiresAt=soon)), namespace=NAMESPACE)

    def phase() -> str:
        return (api.get("scopedkey", "short", NAMESPACE) or {}).get("status", {}).get("phase", "")

    api.wait_for(lambda: phase() == "Pending", "a living key")
    api.wait_for(lambda: phase() == "Expired", "an expired key", 40)


def test_the_last_group_takes_the_router_with_it_and_leaves_the_keys(operator: Operator) -> None:
    """Everything named turnout-router and the last good state go; tokens of keys that are still there stay."""
    api = operator.api
    api.apply(named(key("stays")), namespace=NAMESPACE)
    api.wait_for(lambda: api.get("secret", "turnout-keyring", NAMESPACE), "a keyring")
    api.kubectl("delete", "modelgroup", "assistant", "-n", NAMESPACE)
    kinds = "deployment,service,configmap,secret,networkpolicy,poddisruptionbudget,serviceaccount"
    ours = "app.kubernetes.io/managed-by=turnout"

    def left() -> set[str]:
        return set(api.kubectl("get", kinds, "-n", NAMESPACE, "-l", ours, "-o", "name").split())

    api.wait_for(lambda: left() == {"secret/turnout-keyring"}, "only the keyring left", 60)
