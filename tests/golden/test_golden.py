"""Every golden case comes out as it stands in the tree, holds no secret, and is valid for the real Envoy."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from golden.golden import NOW, SECRET_MARK, Case, documents, snapshot
from harness.envoy import ENVOY, FILTER
from turnout.xds.bootstrap import Address, bootstrap
from turnout.xds.compile import compile_namespace
from turnout.xds.place import Place

CASES = sorted((Path(__file__).parent / "cases").iterdir())

pytestmark = pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)


def secrets(folder: Path) -> dict[str, str]:
    """Each secret value of a case with the words that stand for it."""
    words = {}
    for file in folder.glob("*.yaml"):
        if file.name not in ("in.yaml", "before.yaml"):
            continue
        given = snapshot(file)
        for name, data in given.secrets.items():
            words |= {
                value.decode().strip(): f"<{key} of Secret {name}>"
                for key, value in data.items()
                if value.startswith(SECRET_MARK.encode())
            }
        words |= {
            t.token.get_secret_value(): f"<token {t.id} of {name}>"
            for name, have in given.issued.items()
            for t in have.tokens
        }
    return words


def test_it_comes_out_as_it_stands_in_the_tree(folder: Path, request: pytest.FixtureRequest) -> None:
    """IR, Envoy files, Secrets and statuses are what is committed; `pytest tests/golden --update` rewrites them."""
    for name, text in documents(Case(folder), secrets(folder)).items():
        golden = folder / name
        if request.config.getoption("--update"):
            golden.write_text(text)
        assert golden.exists(), f"{golden} is missing: run pytest tests/golden --update"
        assert text == golden.read_text(), f"{golden} differs: if that is meant, run pytest tests/golden --update"


def test_it_says_what_it_proves_and_holds_no_secret(folder: Path) -> None:
    """Line 1 of in.yaml is a comment; secrets stand in in.yaml and before.yaml only, and always with their mark."""
    assert (folder / "in.yaml").read_text().startswith("# ")
    for file in folder.iterdir():
        if file.name not in ("in.yaml", "before.yaml"):
            assert SECRET_MARK not in file.read_text(), f"{file} holds a secret"
    assert SECRET_MARK not in repr(Case(folder).compiled())


def test_envoy_takes_it(folder: Path, tmp_path: Path) -> None:
    """The real Envoy validates the case's clusters, routes and filters, put in place of their discovery."""
    place = Place(str(FILTER), "/nowhere", "/etc/ssl/certs/ca-certificates.crt")
    before = folder / "before.yaml"
    previous = (
        compile_namespace(snapshot(before), None, now=NOW, place=place).decision.router if before.exists() else None
    )
    files = compile_namespace(snapshot(folder / "in.yaml"), previous, now=NOW, place=place).files.data
    address = Address("127.0.0.1", 0)
    socket = str(tmp_path / "admin.sock")
    static = in_place(
        json.loads(bootstrap(place, listen=address, status=address, admin_socket=socket, node_id="n")), files
    )
    (tmp_path / "envoy.json").write_text(json.dumps(static))
    run = subprocess.run(
        [ENVOY, "--mode", "validate", "-l", "error", "-c", tmp_path / "envoy.json"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def in_place(config: dict, files: dict[str, bytes]) -> dict:
    """The bootstrap with every discovered resource put in its place: validation reads no other files."""
    found = {name: json.loads(data)["resources"] for name, data in files.items()}
    untyped = lambda resource: {k: v for k, v in resource.items() if k != "@type"}  # noqa: E731
    config.pop("dynamic_resources")
    config["static_resources"]["clusters"] += map(untyped, found["cds.json"])
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager.pop("rds")
    manager["route_config"] = untyped(found["rds.json"][0])
    manager["http_filters"] = [
        untyped(found[f"ecds_{f['name']}.json"][0]) if "config_discovery" in f else f for f in manager["http_filters"]
    ]
    return config


def test_cases_are_complete_and_short(folder: Path) -> None:
    """Inputs are complete manifests under 60 lines, so that a reader sees the whole case at once."""
    for file in (folder / "in.yaml", folder / "before.yaml"):
        if file.exists():
            assert len(file.read_text().splitlines()) <= 60
            assert all({"apiVersion", "kind", "metadata"} <= set(d) for d in yaml.safe_load_all(file.read_text()))
