"""The listings of docs/EXTENDING.md, for tests that run them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["listing", "load_listing"]

_PAGE = Path(__file__).parents[1] / "docs" / "EXTENDING.md"


def listing(section: str, number: int = 0) -> str:
    """The text of a section's Python listing, by its number there."""
    _, found, rest = _PAGE.read_text().partition(f"\n## {section}\n")
    assert found, f"docs/EXTENDING.md has no section {section!r}"
    own = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```python\n(.*?)^```", own, re.MULTILINE | re.DOTALL)[number]


def load_listing(section: str, name: str, number: int = 0) -> ModuleType:
    """A listing as the module `name`."""
    module = ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    exec(compile(listing(section, number), f"docs/EXTENDING.md, {section}", "exec"), vars(module))
    return module
