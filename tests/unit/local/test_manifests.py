"""Documents → manifests: kinds, Secrets with variables, Lists, duplicates."""

import pytest

from turnout.local.documents import read
from turnout.local.manifests import Manifests, classify, without_duplicates

KEY = """\
apiVersion: turnout.dev/v1alpha1
kind: ScopedKey
metadata: {name: k}
spec: {scopes: ['*'], modelGroups: ['*']}
"""


def sort(text: str, **environment: str) -> Manifests:
    """The manifests in a text."""
    documents = read("f.yaml", text.encode())
    assert isinstance(documents, list), documents
    return without_duplicates(classify(documents, environment))


def secret(string_data: str, **environment: str) -> Manifests:
    """A Secret with this stringData."""
    return sort(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {string_data}\n", **environment)


def test_variables_are_filled_in() -> None:
    """${NAME} stands for the environment variable, also within a text; $${NAME} and $NAME stay as they are."""
    found = secret('{a: "${KEY}", b: "x-${KEY}-${KEY}", c: "$${KEY} $KEY"}', KEY="v")
    assert found.manifests[0].data == {"a": b"v", "b": b"x-v-v", "c": b"${KEY} $KEY"}
    assert not found.mistakes
    assert not found.unset


def test_an_unset_variable_is_named_with_its_line() -> None:
    """It is no mistake in the file, so it is kept apart; an empty one is as good as none."""
    found = secret('\n  a: "${NONE}"\n  b: "${EMPTY}"', EMPTY="")
    assert [str(m) for m in found.unset] == [
        "f.yaml:5: stringData.a: the environment variable NONE is not set",
        "f.yaml:6: stringData.b: the environment variable EMPTY is empty",
    ]
    assert not found.mistakes


def test_data_is_base64_and_string_data_wins() -> None:
    """As in the API server."""
    head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
    found = sort(head + "data: {a: Zmlyc3Q=, b: c2Vjb25k}\nstringData: {b: other}\n")
    assert found.manifests[0].data == {"a": b"first", "b": b"other"}
    wrong = sort(head + "data: {a: not base64}\n")
    assert [str(m) for m in wrong.mistakes] == ["f.yaml:4: data.a: must be base64; plain text goes under stringData"]


def test_a_secret_value_that_is_no_text_is_a_mistake() -> None:
    """The API server refuses a number there, and so do we."""
    found = secret("{a: 5}")
    assert [m.reason for m in found.mistakes] == ["must be text; put it in quotes"]
    assert found.lost == 1


def test_a_list_is_its_entries() -> None:
    """`kind: List`, as kubectl get -o yaml prints it; lines are those of the entries."""
    entries = KEY.replace("\n", "\n  ").rstrip()
    found = sort(f"apiVersion: v1\nkind: List\nitems:\n- {entries}\n- {entries.replace('name: k', 'name: l')}\n")
    assert [m.name for m in found.manifests] == ["k", "l"]
    assert found.manifests[1].document.mistake("spec.scopes", "x").line == 11


def test_of_two_objects_with_one_name_the_second_is_a_mistake() -> None:
    """It names the place of the first."""
    found = sort(f"{KEY}---\n{KEY}")
    assert len(found.manifests) == 1
    assert [str(m) for m in found.mistakes] == ["f.yaml:8: metadata.name: ScopedKey 'k' stands also in f.yaml:1"]
    apart = sort(f"{KEY}---\n{KEY.replace('{name: k}', '{name: k, namespace: other}')}")
    assert len(apart.manifests) == 2


def test_kinds_of_others_are_left_alone_and_ours_are_not() -> None:
    """A ConfigMap is a note; a misspelt kind of ours, or none at all, is a mistake."""
    assert (
        sort("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n").notes[0].reason.startswith("ConfigMap is none")
    )
    misspelt = sort(KEY.replace("ScopedKey", "ScopedKeys"))
    assert misspelt.mistakes[0].reason == 'there is no ScopedKeys in turnout.dev/v1alpha1; did you mean "ScopedKey"?'
    assert misspelt.lost == 1
    assert [str(m) for m in sort("kind: Secret\n").mistakes] == ["f.yaml:1: apiVersion: is required"]
    assert sort("- a\n- b\n").mistakes[0].reason == "must be an object with apiVersion, kind and metadata"


def test_a_wrong_version_is_a_mistake() -> None:
    """A kind of ours under another version or group is not silently left alone."""
    found = sort(KEY.replace("v1alpha1", "v1"))
    assert [m.field for m in found.mistakes] == ["apiVersion"]
    assert not found.manifests[0].valid


@pytest.mark.parametrize("name", ["../../../evil", "a/b", "..", "A", "''"])
def test_an_object_whose_name_is_wrong_is_none(name: str) -> None:
    """Its name would become a path in DIR/.turnout; it is told, and its file counts as it last did."""
    found = sort(KEY.replace("name: k", f"name: {name}"))
    assert found.manifests == []
    assert found.lost == 1
    assert [m.field for m in found.mistakes] == ["metadata.name"]
