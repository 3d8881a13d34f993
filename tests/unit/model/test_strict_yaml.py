"""Hostile and broken files are refused at once, in words, and at a line."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orderflow_model.findings import InvalidResourceError
from orderflow_model.loading.load import load_flow
from orderflow_model.loading.strict_yaml import MOST_BYTES, MOST_DEPTH, read_yaml

LETTERS = "abcdefghijklmn"
BOMB = "a: &a [x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(LETTERS)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name}\n  <<: [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(LETTERS)
)

REFUSED = [
    (BOMB, "stands for more than"),
    (MERGE_BOMB, "stands for more than"),
    ("a: &a [*a]", "an alias stands within what it names"),
    ("[" * 100_000, f"nested deeper than {MOST_DEPTH} levels"),
    ("".join(f"{' ' * level}a:\n" for level in range(200)), f"nested deeper than {MOST_DEPTH} levels"),
    ("a: 1\n---\na: 2", "more than one document"),
    ("a: 1\nb:\n  c: 1\n  c: 2", "b.c: stands twice, first on line 3"),
    ('a: {"x y": 1, "x y": 2}', 'a["x y"]: stands twice, first on line 1'),
    ("1: a", "a key must be a string"),
    ("on: a", "a key must be a string"),
    ("[1]: a", "a key must be a string"),
    ("a: !!python/object/apply:os.system [true]", "tags such as"),
    ("!!int ''", "tags such as"),
    ("a: =", "not YAML"),
    ("a: [", "not YAML"),
    ("a: \x00", "not YAML"),
    ("a: \ud800", "not readable"),
    (f"a: {'9' * 5000}", "not readable"),
    ("", "the file is empty"),
    ("# nothing", "the file is empty"),
    ("x" * (MOST_BYTES + 1), "the file is too large"),
    ("<<: 1", "not YAML: expected a mapping"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
@pytest.mark.timeout(20)
def test_a_hostile_file_is_refused_in_words(text: str, words: str) -> None:
    """Bombs, loops, depth, tags, several documents and double keys each end in a finding that says so."""
    with pytest.raises(InvalidResourceError) as refused:
        read_yaml(text)
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["[1]", "text", "null", "1.5"])
def test_what_is_no_mapping_is_no_flow(text: str) -> None:
    """A document that is a list or a scalar is refused by what it is."""
    with pytest.raises(InvalidResourceError, match="an OrderFlow is a mapping, not"):
        load_flow(text)


def test_the_line_of_a_double_key_is_the_second_one(shop_text: str) -> None:
    """A key that stands twice is reported on the line where it should not stand."""
    with pytest.raises(InvalidResourceError) as refused:
        load_flow(f"{shop_text}spec: {{}}\n")
    assert refused.value.findings[0].line == len(shop_text.splitlines()) + 1


def test_aliases_and_merges_of_a_sensible_size_are_read() -> None:
    """Anchors save typing in real files, and merged keys may be set anew."""
    document = read_yaml("base: &base {a: 1, b: 2}\nuse: {<<: *base, b: 3}\nlist: [*base, *base]\n")
    assert document.data["use"] == {"a": 1, "b": 3}
    assert document.data["list"] == [{"a": 1, "b": 2}] * 2


def test_a_date_stays_the_text_it_is() -> None:
    """A plain date is text, as for the API server, not a Python date."""
    assert read_yaml("a: 2024-01-01").data == {"a": "2024-01-01"}


@pytest.mark.parametrize(
    ("place", "line"),
    [((), 1), (("a",), 1), (("a", "b"), 2), (("a", "b", 1), 4), (("a", "b", 7), 2), (("a", "c"), 1)],
)
def test_a_place_is_found_on_its_line(place: Any, line: int) -> None:
    """A place gives its line, and a place that is not there that of the innermost part that is."""
    assert read_yaml("a:\n  b:\n    - 1\n    - 2\n").line(place) == line


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    """A path that is not there or is a directory ends in a finding, not in an OSError."""
    with pytest.raises(InvalidResourceError, match="cannot be read"):
        load_flow(tmp_path / name)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are reported with where they stand."""
    file = tmp_path / "flow.yaml"
    file.write_bytes(b"a: \xff")
    with pytest.raises(InvalidResourceError, match="not UTF-8 at byte 3"):
        load_flow(file)
