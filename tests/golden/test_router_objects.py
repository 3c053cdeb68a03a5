"""What a router is made of in a cluster, and its bootstrap: the same for all namespaces, so one golden file each."""

import difflib
import json
from pathlib import Path

import pytest
import yaml

from turnout.infra.objects import initial, router_objects
from turnout.infra.options import RouterOptions
from turnout.infra.pod import FLUSH, pod_template
from turnout.watch.context import pod_bootstrap

GOLDEN = Path(__file__).parent / "router"


def test_a_router_is_made_of_these_objects(request: pytest.FixtureRequest) -> None:
    """Deployment, Service and so on are as committed; bootstrap and filter are in the ConfigMap byte for byte."""
    *others, deployment = router_objects(
        "ai", RouterOptions(), bootstrap=b"bootstrap", wasm=b"\0asm", own_namespace="turnout-system"
    )
    objects = json.loads(json.dumps([*others, initial(deployment, 2)]))  # as they are sent
    text = yaml.safe_dump_all(objects, sort_keys=True, width=120)
    compare(GOLDEN / "objects.yaml", text, request)


def test_a_pod_starts_with_this_bootstrap(request: pytest.FixtureRequest) -> None:
    """The static part of Envoy's configuration is as committed: changing it rolls every router pod."""
    compare(GOLDEN / "bootstrap.yaml", as_yaml(pod_bootstrap(access_log=False)), request)


def test_the_access_log_adds_this_and_nothing_else(request: pytest.FixtureRequest) -> None:
    """With the switch on, the bootstrap differs in the lines that are committed, the pod in two arguments."""
    off, on = (as_yaml(pod_bootstrap(access_log=on)).splitlines() for on in (False, True))
    changed = [line for line in difflib.unified_diff(off, on, "off", "on", lineterm="", n=0) if line[:2] != "@@"]
    compare(GOLDEN / "access-log.diff", "\n".join(changed) + "\n", request)
    plain, logging = (pod_template(RouterOptions(access_log=on), bootstrap_hash="x") for on in (False, True))
    arguments = plain["spec"]["containers"][0]["args"]
    assert FLUSH == ("--file-flush-interval-msec", "1000")
    arguments.extend(FLUSH)
    assert plain == logging


def as_yaml(config: bytes) -> str:
    """JSON as YAML, which people read."""
    return yaml.safe_dump(json.loads(config), sort_keys=True, width=120)


def compare(golden: Path, text: str, request: pytest.FixtureRequest) -> None:
    """The text is what is committed; with --update it is written."""
    if request.config.getoption("--update"):
        golden.write_text(text)
    assert text == golden.read_text(), f"{golden} differs: if that is meant, run pytest tests/golden --update"
