"""Runs launches on a CPU: the unchanged .cu files, built by a C++ compiler over `emulation.h`."""

from __future__ import annotations

import ctypes
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from streamavis_kernels.build import build
from streamavis_kernels.launch import Launch, Variant, source

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EmulationError", "Emulator"]

_HEADER = Path(__file__).parent / "emulation.h"
_FLAGS = (
    # -O1: a test runs a kernel for milliseconds, and building takes seconds.
    *("-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-g1", "-w"),
)


class EmulationError(RuntimeError):
    """A kernel broke a rule that a GPU would punish."""


@dataclass(frozen=True)
class Emulator:
    """A `Runner`. Another seed is another order of threads, warps and blocks.

    `first_block` leaves out the blocks before it; -1 runs only the last of a huge grid.
    """

    seed: int = 0
    first_block: int = 0

    def __call__(self, launch: Launch) -> None:
        """Run `launch` to its end.

        Raises:
            EmulationError: a barrier is not reached by all, an access is misaligned.
        """
        last = math.prod(launch.grid)
        first = self.first_block % last
        values = [_value(argument) for argument in launch.arguments]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        grid = (ctypes.c_uint32 * 3)(*launch.grid)
        fault = _function(launch.variant)(grid, launch.block, first, last, self.seed, pointers)
        if fault:
            raise EmulationError(f"{launch.variant}: {fault.decode()}")


def _value(argument: Any) -> np.ndarray[Any, Any]:
    return np.asarray(argument, np.int64) if isinstance(argument, int) else np.asarray(argument)


@functools.cache
def _function(variant: Variant) -> Callable[..., bytes | None]:
    text = f"""{_HEADER.read_text()}
{source(variant.path)}
extern "C" const char* emulate(const u32* grid, u32 threads, i64 first, i64 last, u32 seed,
                               void** arguments) {{
  return emulation::launch({variant.kernel}, grid, threads, first, last, seed, arguments);
}}
"""
    flags = (*_FLAGS, *(f"-D{define}" for define in variant.defines))
    library = build(text, f"emulated-{variant.kernel}", flags)
    function: Callable[..., bytes | None] = ctypes.CDLL(str(library)).emulate
    function.argtypes = [  # type: ignore[attr-defined]
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint32),
        ctypes.c_void_p,
    ]
    function.restype = ctypes.c_char_p  # type: ignore[attr-defined]
    return function
