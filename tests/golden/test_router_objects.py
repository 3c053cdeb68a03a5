"""What a router is made of in a cluster, and its bootstrap: the same for all namespaces, so one golden file each."""

import difflib
import json
from pathlib import Path

import pytest
import yaml

from turnout.infra.objects import initial, router_objects
from turnout.infra.options import RouterOptions
from turnout.infra.pod import FLUSH, pod_template
from turnout.settings import Settings, read_settings
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
    compare(GOLDEN / "bootstrap.yaml", as_yaml(pod_bootstrap("ai", Settings())), request)


def test_the_access_log_adds_this_and_nothing_else(request: pytest.FixtureRequest) -> None:
    """With the switch on, the bootstrap differs in the lines that are committed, the pod in two arguments."""
    compare(GOLDEN / "access-log.diff", changed_by(Settings(router=RouterOptions(access_log=True))), request)
    plain, logging = (pod_template(RouterOptions(access_log=on), bootstrap_hash="x") for on in (False, True))
    arguments = plain["spec"]["containers"][0]["args"]
    assert FLUSH == ("--file-flush-interval-msec", "1000")
    arguments.extend(FLUSH)
    assert plain == logging


def test_a_rate_limit_service_changes_this_and_nothing_else(request: pytest.FixtureRequest) -> None:
    """With the setting, routers ask the service and no longer split budgets: the lines that are committed."""
    settings = read_settings({"TURNOUT_RATE_LIMIT_SERVICE": "ratelimit.turnout-system.svc:8081"})
    compare(GOLDEN / "rate-limit-service.diff", changed_by(settings), request)


def changed_by(settings: Settings) -> str:
    """How the bootstrap differs from the usual one."""
    off, on = (as_yaml(pod_bootstrap("ai", s)).splitlines() for s in (Settings(), settings))
    changed = [line for line in difflib.unified_diff(off, on, "off", "on", lineterm="", n=0) if line[:2] != "@@"]
    return "\n".join(changed) + "\n"


def as_yaml(config: bytes) -> str:
    """JSON as YAML, which people read."""
    return yaml.safe_dump(json.loads(config), sort_keys=True, width=120)


def compare(golden: Path, text: str, request: pytest.FixtureRequest) -> None:
    """The text is what is committed; with --update it is written."""
    if request.config.getoption("--update"):
        golden.write_text(text)
    assert text == golden.read_text(), f"{golden} differs: if that is meant, run pytest tests/golden --update"
