"""The benches run once in a while: that the product still has what they use is looked up at every change."""

from support.tools.benches import BENCH, OF_PICTURES, OF_THE_LAKE, import_modules


def test_benches_find_what_they_use() -> None:
    """All their modules can be imported, but those that need another environment."""
    modules = [file.stem for file in sorted(BENCH.glob("*.py"))]
    assert not import_modules([one for one in modules if one not in (*OF_PICTURES, *OF_THE_LAKE)])
