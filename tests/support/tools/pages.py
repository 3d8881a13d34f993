"""The code of a page, for tests that run what its readers copy."""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_blocks(page: str) -> list[str]:
    """Give the Python blocks of a page of this tree, in order."""
    return _BLOCK.findall((_ROOT / page).read_text(encoding="utf-8"))
