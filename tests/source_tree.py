"""The repository's files, and what the modules among them import, read without running them."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROOT", "Import", "Module", "modules", "needs_clone", "tracked_files"]

needs_clone = pytest.mark.skipif(
    not (Path(__file__).parents[1] / ".git").exists(),
    reason="not a git clone: what is tracked is unknown",
)

ROOT = Path(__file__).resolve().parents[1]
WHEEL_ROOTS = [ROOT, ROOT / "kernels", ROOT / "apps", ROOT / "training"]
PACKAGE_ROOTS = [*WHEEL_ROOTS, ROOT / "benchmarks"]


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    target: str  # dotted, as deep as is known: the module, or the module and a name in it
    line: int
    late: bool  # inside a function or `if TYPE_CHECKING:`, so not when the module is imported


@dataclass(frozen=True)
class Module:
    """A Python file of one of the packages."""

    name: str
    path: Path
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    def imports(self) -> Iterator[Import]:
        yield from self._imports(self.tree, late=False)

    def _imports(self, node: ast.AST, *, late: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = self._absolute(node)
            yield from (Import(f"{base}.{alias.name}", node.lineno, late) for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) == "import_module":
            name = node.args[0]
            if isinstance(name, ast.Constant):
                yield Import(str(name.value), node.lineno, late=late)
        late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        late = late or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.iter_child_nodes(node):
            yield from self._imports(child, late=late)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self.name.split(".")
        kept = len(parents) - node.level + self.is_package
        return ".".join([*parents[:kept], *filter(None, [node.module])])


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


@cache
def modules() -> list[Module]:
    """Every module of the packages, tracked by git or not."""
    found = []
    for root in PACKAGE_ROOTS:
        for path in sorted(root.glob("streamavis*/**/*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path, path.read_text(encoding="utf-8")))
    return found


def tracked_files() -> list[Path]:
    """Every file that git tracks; see `needs_clone`."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]
