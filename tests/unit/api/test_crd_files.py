"""The generated CRDs as files: what the API server does not check."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout.api.crds import crd_documents, crd_text, main

CRDS = Path(__file__).parents[3] / "crds"
DOCUMENTS = crd_documents()


def schema_of(document: dict[str, Any]) -> dict[str, Any]:
    """The structural schema."""
    schema: dict[str, Any] = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every field below: path, schema, whether it is required."""
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        yield here, field, name in schema.get("required", ())
        yield from fields(field, here)
        yield from fields(field.get("items", {}), f"{here}[]")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_file_is_the_generated_one(name: str) -> None:
    """`make crds` was run after the last change of the models."""
    assert (CRDS / name).read_text(encoding="utf-8") == crd_text(DOCUMENTS[name])


def test_kustomize_takes_every_crd() -> None:
    """No generated file is left out of kustomization.yaml."""
    assert sorted(yaml.safe_load((CRDS / "kustomization.yaml").read_text())["resources"]) == sorted(DOCUMENTS)


def test_the_generator_writes_all_files(tmp_path: Path) -> None:
    """`python -m turnout.api.crds DIR` makes the directory and writes one file per kind."""
    main([str(tmp_path / "new")])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_is_described(name: str) -> None:
    """`kubectl explain` has words for each field, and a sentence at that."""
    bad = [
        path
        for path, field, _ in fields(schema_of(DOCUMENTS[name]))
        if path.count(".") > 1 and not (field.get("description") or "").endswith((".", "…"))
    ]
    assert bad == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_optional_field_of_a_spec_says_what_happens_without_it(name: str) -> None:
    """A default in the description, unless the fields below say theirs."""
    bad = [
        path
        for path, field, required in fields(schema_of(DOCUMENTS[name])["properties"]["spec"])
        if not required and field["type"] != "object" and "Default:" not in field["description"]
    ]
    # A step's hold is required or forbidden, by a rule.
    assert [path for path in bad if path != ".steps[].hold"] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_schema_is_bounded_and_sets_no_defaults(name: str) -> None:
    """Strings and lists have a maximum, for CEL's cost budget; nothing is filled in behind the user's back."""
    schema = schema_of(DOCUMENTS[name])
    for path, field, _ in fields(schema):
        assert not {"default", "$ref", "anyOf", "title"} & field.keys(), path
        if path.count(".") == 1:
            continue
        if field["type"] == "string":
            assert "enum" in field or "maxLength" in field, path
        if field["type"] == "array":
            assert "maxItems" in field, path
            assert "x-kubernetes-list-type" in field, path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_spec_speaks_in_words_and_a_status_in_patterns(name: str) -> None:
    """A pattern would hide the words of the rule that says the same; a status is written by the operator alone."""
    top = schema_of(DOCUMENTS[name])["properties"]
    assert "pattern:" not in yaml.safe_dump(top["spec"])
    assert "x-kubernetes-validations" not in yaml.safe_dump(top["status"])
