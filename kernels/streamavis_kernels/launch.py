"""A launch: which kernel, compiled how, in what shape, on what. CuPy or the emulation runs it.

A kernel is one file, `csrc/NAME.cu`, which defines the function NAME and is specialised by -D
options: one `Variant` of it. Launchers (`sampling.cuda` and its like) turn tensors into launches
and hand them to a `Runner`, so what is tested without a GPU is what runs on one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "CSRC",
    "Argument",
    "Launch",
    "Runner",
    "Variant",
    "aligned",
    "ceil_div",
    "pointer",
    "source",
    "storage",
    "struct",
]

CSRC = Path(__file__).parent / "csrc"

# A pointer or 64-bit int, a number of exactly the kernel's type, or a struct by value.
Argument: TypeAlias = int | np.number | NDArray[np.void]

_INCLUDE = re.compile(r'\s*#include "(.+)"')
_STORAGE = {
    torch.uint8: "u8",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.float32: "f32",
    torch.float64: "f64",
}


@dataclass(frozen=True)
class Variant:
    """A kernel with its -D options."""

    kernel: str
    defines: tuple[str, ...]  # NAME=VALUE
    folder: Path = CSRC

    @property
    def path(self) -> Path:
        return self.folder / f"{self.kernel}.cu"

    def __str__(self) -> str:
        return " ".join([self.kernel, *(define.removeprefix("AV_") for define in self.defines)])


@dataclass(frozen=True)
class Launch:
    """One call of a kernel. The tensors behind pointers live until it has been queued."""

    variant: Variant
    grid: tuple[int, int, int]
    block: int  # threads, whole warps
    arguments: tuple[Argument, ...]


Runner: TypeAlias = Callable[[Launch], None]


@functools.cache
def source(path: Path) -> str:
    """The text of a kernel with its includes put in, each once.

    CuPy names compiled code in its cache by this text and the options; what a header on an include
    path holds would not count, and an edit of it would go unnoticed.
    """
    seen: set[Path] = set()

    def expand(file: Path) -> list[str]:
        lines = [f'#line 1 "{file.name}"']
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if found := _INCLUDE.match(line):
                inner = file.parent / found[1]
                if not inner.exists():
                    inner = CSRC / found[1]
                if inner not in seen:
                    seen.add(inner)
                    lines += [*expand(inner), f'#line {number + 1} "{file.name}"']
                else:
                    lines.append("")
            else:
                lines.append("" if line == "#pragma once" else line)
        return lines

    return "\n".join([*expand(path), ""])


def storage(dtype: torch.dtype) -> str:
    """What a dtype is called in the sources."""
    return _STORAGE[dtype]


def pointer(tensor: Tensor | None) -> int:
    """The address of a tensor; null for None."""
    return 0 if tensor is None else tensor.data_ptr()


def aligned(tensor: Tensor) -> Tensor:
    """`tensor`, or a copy, so that it is contiguous and starts at a multiple of 16 bytes."""
    tensor = tensor.contiguous()
    return tensor.clone() if tensor.data_ptr() % 16 else tensor


def struct(values: Sequence[int] | Sequence[float], dtype: type[np.number]) -> NDArray[np.void]:
    """A struct of equal numbers to pass by value: CuPy takes an array of one structured element."""
    fields = np.dtype([("values", dtype, (len(values),))])
    return np.asarray(values, dtype).view(fields)


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)
