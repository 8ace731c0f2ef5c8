"""Weights files of others: PyTorch's, detectron2's pickles, safetensors. No code in them runs."""

from __future__ import annotations

import pickle
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from streamavis.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_foreign"]

# What NumPy arrays and numbers are pickled with, by the names of NumPy 1 and 2.
_NUMPY = {
    ("multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("multiarray", "scalar"): np.float64(0).__reduce__()[0],
}
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, codec: _encode(text, codec),
}
for (_module, _name), _value in _NUMPY.items():
    _ALLOWED[f"numpy.core.{_module}", _name] = _value
    _ALLOWED[f"numpy._core.{_module}", _name] = _value
# Where the tensors are, in files that hold more.
_WRAPPERS = ("model", "state_dict", "model_state")


def read_foreign(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.pth`, `.pt`, `.bin`, `.pkl` or `.safetensors` file.

    Raises:
        CheckpointError: not readable, holds something else than tensors by name, or asks for
            code to be run; names the file and the cause.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(str(path))
        elif path.suffix == ".pkl":
            with path.open("rb") as file:
                content = _Unpickler(file, encoding="latin1").load()
        else:
            with warnings.catch_warnings():  # of pickle protocols: what cannot be read is told
                warnings.simplefilter("ignore")
                content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    except Exception as error:
        # A damaged pickle raises whatever its bytes happen to mean.
        raise CheckpointError(f"{path} is no weights file: {_reason(error, path)}") from error
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    return _tensors(path, content)


def _reason(error: Exception, path: Path) -> str:
    """What is wrong with a file, in our words: PyTorch's advise to run the code in it."""
    if code := re.search(r"Unsupported (?:global|class)\S*: (?:GLOBAL )?(\S+)", str(error)):
        return (
            f"it asks for {code[1]}, which is code, and no code in a file is run; "
            "save the weights alone, with torch.save(model.state_dict(), FILE)"
        )
    expected = f"expected what torch.save writes to a {path.suffix or '.pth'} file"
    if path.suffix == ".pkl":
        expected = "expected a pickle of NumPy arrays by name"
    size = path.stat().st_size
    if size == 0:
        return f"it is empty; {expected}"
    if "failed finding central directory" in str(error):
        return f"it is cut off after {size} bytes; copy or download it again"
    with path.open("rb") as file:
        return f"it begins with {file.read(8)!r}; {expected}"


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise CheckpointError(
                f"asks for {module}.{name}; only numbers, text, dicts and NumPy arrays are read"
            )
        return _ALLOWED[module, name]


def _encode(text: str, codec: str) -> bytes:
    """How Python 2's arrays keep their bytes."""
    if codec != "latin1":
        raise CheckpointError(f"holds text in {codec!r}, expected 'latin1'")
    return text.encode("latin1")


def _tensors(path: Path, content: Any) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected tensors by name")
    tensors = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.from_numpy(value.copy())
        if isinstance(name, str) and isinstance(value, Tensor):
            tensors[name] = value
    if not tensors:
        raise CheckpointError(f"{path} holds no tensor; its keys are {list(content)[:5]}")
    return tensors
