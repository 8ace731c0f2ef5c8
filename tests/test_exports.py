"""The public surface is a list with a guard: `__all__` names what is public, and nothing else."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys

import pytest
from source_tree import Module, modules

MODULES = [module for module in modules() if not module.name.endswith("__main__")]
by_name = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


def defined(module: Module) -> set[str]:
    """Public functions and classes that the module itself defines."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {
        node.name
        for node in module.tree.body
        if isinstance(node, kinds) and not node.name.startswith("_")
    }


@by_name
def test_all_is_the_public_surface(module: Module) -> None:
    loaded = importlib.import_module(module.name)
    listed = getattr(loaded, "__all__", None)
    if listed is None:
        assert not defined(module), f"{module.where} defines {defined(module)} but has no __all__"
        return
    assert len(set(listed)) == len(listed)
    private = [name for name in listed if name.startswith("_") and name != "__version__"]
    assert not private, f"{module.where} exports private names: {private}"
    missing = [name for name in listed if not hasattr(loaded, name)]
    assert not missing, f"{module.where} lists names it does not have: {missing}"
    unlisted = defined(module) - set(listed)
    assert not unlisted, f"{module.where}: list in __all__ or make private: {sorted(unlisted)}"


# Our modules load fast once torch and its like are there: load those once, then fork for each.
FIRST_IMPORTS = """
import gc, importlib, os, sys, traceback
import aiohttp, av, cv2, msgspec, numpy, pycocotools.mask, rich.console, safetensors, scipy.ndimage
import scipy.optimize, torch, torch.library, torch.fx.experimental.symbolic_shapes, typer, zmq

gc.freeze()  # a child that never collects shares the memory of its parent
gc.disable()
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            print(name, traceback.format_exc(), sep="\\n", flush=True)
            os._exit(1)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_every_module_can_be_the_first_to_be_imported() -> None:
    """An import cycle shows in one order only, so each module starts in a fresh process."""
    names = [module.name for module in MODULES]
    command = [sys.executable, "-c", FIRST_IMPORTS, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stdout, done.stdout
