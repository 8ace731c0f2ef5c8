"""Weights files of others: PyTorch's, detectron2's pickles, safetensors. No code in them runs."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
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
_ARRAY = object()  # stands for the class in a pickle, so that nothing there can call it


def _reconstruct(kind: object, shape: tuple[int, ...], code: bytes) -> Any:
    """An empty array, as every pickled array begins; its shape and bytes come after it."""
    if kind is not _ARRAY or tuple(shape) != (0,):
        raise CheckpointError(f"begins an array of shape {shape}, expected (0,)")
    made: Any = _NUMPY["multiarray", "_reconstruct"]
    return made(np.ndarray, (0,), code)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ARRAY,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, codec: _encode(text, codec),
}
for (_module, _name), _value in _NUMPY.items():
    _value = _reconstruct if _name == "_reconstruct" else _value
    _ALLOWED[f"numpy.core.{_module}", _name] = _value
    _ALLOWED[f"numpy._core.{_module}", _name] = _value
_MOST_VIEWS = 4  # file sizes that the tensors of a file may have together: some are shared

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
            _check_pickle(path)
            with path.open("rb") as file:
                content = _Unpickler(file, encoding="latin1").load()
        else:
            _check_archive(path)
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


def _check_archive(path: Path) -> None:
    """Refuse a zip archive that would unpack to more than it has on disk.

    `torch.save` stores its entries as they are. A compressed one may be a thousand times larger
    than its file, and would be unpacked whole.

    Raises:
        CheckpointError: an entry is compressed, or the entries are larger than the file.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"is no zip archive: {error}") from error
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(
                f"its entry {entry.filename!r} is compressed ({entry.file_size} bytes in "
                f"{entry.compress_size}); expected what torch.save writes, which is stored"
            )
    unpacked, size = sum(entry.file_size for entry in entries), path.stat().st_size
    if unpacked > size:
        raise CheckpointError(f"its entries have {unpacked} bytes, but the file has {size}")


def _check_pickle(path: Path) -> None:
    """Refuse a pickle that asks for more memory than it has bytes.

    Raises:
        CheckpointError: a memo's number, or a length, is larger than the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        for code, argument, _ in pickletools.genops(file):
            if code.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > size:
                raise CheckpointError(f"remembers an object as number {argument}")


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
    _check_sizes(path, tensors)
    if not tensors:
        raise CheckpointError(f"{path} holds no tensor; its keys are {list(content)[:5]}")
    return tensors


def _check_sizes(path: Path, tensors: dict[str, Tensor]) -> None:
    """Refuse tensors that are larger than what is stored of them: repeated or overlapping views.

    Raises:
        CheckpointError: one tensor is larger than its storage, or all of them than four files.
    """
    size = path.stat().st_size
    whole = 0
    for name, tensor in tensors.items():
        stored, told = tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size()
        whole += told
        if told > stored:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, which is {told} bytes, but the "
                f"file holds {stored} of it; save it with .contiguous()"
            )
    if whole > _MOST_VIEWS * size:
        raise CheckpointError(
            f"{path}: its tensors have {whole} bytes, but the file has {size}: they overlap; "
            "save each with .clone()"
        )
