"""The lake's bench runs once in a while: that the product still has what it uses is looked up at every change."""

from support.tools.benches import OF_THE_LAKE, import_modules


def test_the_lakes_bench_finds_what_it_uses() -> None:
    """Its modules can be imported in the lake's environment."""
    assert not import_modules(list(OF_THE_LAKE))
