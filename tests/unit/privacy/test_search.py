"""What an erasure's search sees of a person, and what it takes for another's."""

import pytest

from orderflow_cli.privacy.search import Place, Wanted

WANTED = Wanted("cust-7", {"Jörg Müller": "/customer/name"}, ["o1"])


@pytest.mark.parametrize(
    "line",
    [
        "cust-7",
        "ask cust-7.",
        "cust-7: not reached",
        "customer:cust-7",
        "urn:shop:cust-7:k1",
        '{"id":"cust-7"}',
        "nobody but cust-7- and that is all",
        "sent to J\u00f6rg M\u00fcller.",
        '{"name":"J\\u00f6rg M\\u00fcller","order":"o1"}',
    ],
)
def test_a_text_is_seen_whatever_stands_beside_it(line: str) -> None:
    """In a sentence, before a colon, behind a prefix, and as JSON writes it, escaped or not."""
    place = Place("x")
    place.count(line.encode(), WANTED)
    assert place.own or place.others


@pytest.mark.parametrize("line", ["cust-77", "xcust-7", "a-cust-7", "cust-7-2", "cust-7.b", "JJörg Müller", "cust_7"])
def test_a_part_of_a_longer_word_is_none(line: str) -> None:
    """Ids are made of words and dashes: one that goes on is somebody else's."""
    place = Place("x")
    place.count(line.encode(), WANTED)
    assert (place.own, place.others) == ({}, {})
