"""A manifest that is changed for its user keeps every comment, quote and space."""

import json

import pytest
import yaml

from turnout.local.editing import Which, edited

BLOCK = """\
# Billing's key.
kind: ScopedKey
metadata: {name: other}
spec: {scopes: ["*"], modelGroups: [a]}
---
kind: ScopedKey
metadata:
  name: billing   # its name
spec:
  # what it may
  scopes: ["chat:create"]
  modelGroups:
  - a
  # the end
"""
HAS_TRIGGER = BLOCK.replace("  # the end\n", "  rotation:\n    trigger: '2026'  # why\n    every: 30d\n")
FLOW = '{kind: ScopedKey, metadata: {name: billing}, spec: {scopes: ["*"], modelGroups: [a]}}\n'
JSON = json.dumps({"kind": "ScopedKey", "metadata": {"name": "billing"}, "spec": {"scopes": ["*"]}}, indent=2)
TRIGGER = {("spec", "rotation", "trigger"): "now"}
BILLING = Which("ScopedKey", "", "billing")


@pytest.mark.parametrize(
    ("name", "text", "fields", "expected"),
    [
        ("a.yaml", BLOCK, TRIGGER, ("  scopes", '  rotation: {trigger: "now"}\n  scopes')),
        ("a.yaml", HAS_TRIGGER, TRIGGER, ("'2026'", '"now"')),
        (
            "a.yaml",
            HAS_TRIGGER,
            {("spec", "rotation", "emergency"): True},
            ("    trigger", "    emergency: true\n    trigger"),
        ),
        ("a.yaml", FLOW, TRIGGER, ("spec: {", 'spec: {rotation: {trigger: "now"}, ')),
        ("a.yaml", FLOW, {("spec", "revoked"): True}, ("spec: {", "spec: {revoked: true, ")),
        ("a.json", JSON, TRIGGER, ('"scopes"', '"rotation": {"trigger": "now"}, "scopes"')),
    ],
    ids=["block", "a value", "beside a value", "flow", "a flag", "JSON"],
)
def test_nothing_else_changes(name: str, text: str, fields: dict, expected: tuple[str, str]) -> None:  # type: ignore[type-arg]
    """Only the object of that kind and name, only that field."""
    head, sep, tail = text.rpartition("---\n")
    assert edited(name, text.encode(), BILLING, fields) == (head + sep + tail.replace(*expected, 1)).encode()


@pytest.mark.parametrize("begins", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
def test_lines_end_as_they_did(begins: str) -> None:
    """Those of a file from Windows, the new one among them."""
    text = begins + BLOCK.replace("\n", "\r\n")
    expected = text.replace("may\r\n", "may\r\n  revoked: true\r\n")
    assert edited("a.yaml", text.encode(), BILLING, {("spec", "revoked"): True}) == expected.encode()


def test_one_name_in_two_namespaces_is_two_objects() -> None:
    """Even in one file."""
    dev, prod = (FLOW.replace("name: billing", f"namespace: {n}, name: billing") for n in ("dev", "prod"))
    after = edited(
        "a.yaml", f"{dev}---\n{prod}".encode(), BILLING._replace(namespace="prod"), {("spec", "revoked"): True}
    )
    assert after == f"{dev}---\n{prod.replace('spec: {', 'spec: {revoked: true, ')}".encode()
    assert edited("a.yaml", f"{dev}---\n{prod}".encode(), BILLING, TRIGGER) is None


@pytest.mark.parametrize(
    "text",
    [
        "kind: List\nitems: [" + FLOW.strip() + "]\n",
        "spec: &s {scopes: []}\nkind: ScopedKey\nmetadata: {name: other}\n---\nkind: Other\n",
        "kind: ScopedKey\nmetadata: {name: billing}\nspec: &s {rotation: &r {every: 1d}, again: *r}\n",
        "kind: ScopedKey\nmetadata: {name: billing}\nspec: {rotation: now}\n",
        "kind: ScopedKey\nmetadata: {name: billing}\nspec: {}\n",
        "\tno YAML",
    ],
    ids=["a List", "not there", "an alias", "not a mapping", "an empty mapping", "not YAML"],
)
def test_what_cannot_be_done_in_place_is_not_done(text: str) -> None:
    """Then a person has to."""
    assert edited("a.yaml", text.encode(), BILLING, TRIGGER) is None
    assert edited("a.yaml", FLOW.encode("utf-16"), BILLING, TRIGGER) is None


def test_what_comes_out_says_what_it_should() -> None:
    """Read as YAML."""
    text = edited("a.yaml", BLOCK.encode(), BILLING, {**TRIGGER, ("spec", "rotation", "emergency"): False})
    assert text is not None
    rotation = list(yaml.safe_load_all(text))[1]["spec"]["rotation"]
    assert rotation == {"trigger": "now", "emergency": False}
