"""Files → documents with lines, or one mistake."""

import pytest

from turnout.local.documents import Document, Mistake, read


def documents(text: str) -> list[Document]:
    """The documents of a text that can be read."""
    found = read("f.yaml", text.encode())
    assert isinstance(found, list), found
    return found


def mistake(content: bytes, name: str = "f.yaml") -> str:
    """The mistake in a text that cannot be read, as people see it."""
    found = read(name, content)
    assert isinstance(found, Mistake), found
    return str(found)


def test_every_field_knows_its_line() -> None:
    """Block and flow style, lists and nested objects, in every document of a file."""
    first, second = documents("# a comment\na: 1\nb:\n  - c: 2\n    d: {e: 3,\n        f: 4}\n---\n\ng: 5\n")
    assert first.value == {"a": 1, "b": [{"c": 2, "d": {"e": 3, "f": 4}}]}
    wanted = {"a": 2, "b": 3, "b[0]": 4, "b[0].c": 4, "b[0].d": 5, "b[0].d.e": 5, "b[0].d.f": 6}
    assert {path: first.lines[path] for path in wanted} == wanted
    assert (second.line, second.lines) == (9, {"g": 9})


def test_a_mistake_at_a_missing_field_is_shown_at_what_is_there() -> None:
    """`spec.models[0].endpoint` is missing: the line is that of `spec.models[0]`."""
    (document,) = documents("spec:\n  models:\n  - name: a\n")
    assert str(document.mistake("spec.models[0].endpoint", "is required")) == (
        "f.yaml:3: spec.models[0].endpoint: is required"
    )
    assert document.mistake("metadata.name", "is required").line == 1


def test_times_stay_text() -> None:
    """As the API server reads it: an unquoted date is no date object."""
    (document,) = documents("a: 2027-01-01T00:00:00Z\nb: 2027-01-01\n")
    assert document.value == {"a": "2027-01-01T00:00:00Z", "b": "2027-01-01"}


def test_empty_documents_are_left_out() -> None:
    """A file of comments and separators holds nothing, and that is fine."""
    assert documents("---\n# nothing\n---\n") == []


def test_anchors_and_merge_keys_work() -> None:
    """They are YAML, so they may be used."""
    (document,) = documents("a: &x {b: 1}\nc: {<<: *x, d: 2}\n")
    assert document.value["c"] == {"b": 1, "d": 2}


def test_json_may_be_indented_with_tabs() -> None:
    """As kubectl takes it, so do we."""
    found = read("f.json", b'{\n\t"a": [\n\t\t1\n\t]\n}\n')
    assert isinstance(found, list)
    assert found[0].value == {"a": [1]}
    assert found[0].lines["a[0]"] == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: 1\n b: 2\n", "f.yaml:2: not YAML: mapping values are not allowed"),
        (b"a: [1\n", "f.yaml:2: not YAML"),
        (b"a:\n\tb: 1\n", "f.yaml:2: not YAML: a tab; indent with spaces"),
        (b"a: 1\nb: \xff\n", "f.yaml:2: not text in UTF-8"),
        (b"a: !secret x\n", "f.yaml:1: not YAML"),
        (b"a:\n  b: 1\n  b: 2\n", "f.yaml:3: a.b: stands here twice; first in line 2"),
        (b"a: &x [*x]\n", "nested too deeply"),
        (b"[" * 1_000_000, "f.yaml:1: nested too deeply"),
        (b"- " * 1_000_000, "f.yaml:1: nested too deeply"),
        (b"{a: " * 100_000, "f.yaml:1: nested too deeply"),
        (b"? {a: 1}\n: 2\n", "f.yaml:1: not YAML"),
    ],
)
def test_what_cannot_be_read_is_one_mistake_at_its_line(content: bytes, words: str) -> None:
    """Whatever is in a file, the answer is a line for a person and never a traceback."""
    assert words in mistake(content)


def test_a_bomb_of_aliases_is_refused() -> None:
    """Nine lines that stand for a billion fields are refused quickly, not expanded."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert mistake("\n".join(lines).encode()) == "f.yaml:1: too large"


def test_values_are_in_no_repr() -> None:
    """A document may be a Secret."""
    assert "hunter2" not in repr(documents("stringData: {a: hunter2}"))


def test_a_value_that_does_not_fit_its_tag_is_not_quoted() -> None:
    """It may be a secret."""
    assert "hunter2" not in mistake(b"a: !!int hunter2\n")
