"""NVRTC without a GPU: a source and an architecture to registers, stack and spills."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamavis_kernels.cupy_backend import OPTIONS
from streamavis_kernels.launch import source

if TYPE_CHECKING:
    from streamavis_kernels.launch import Variant

__all__ = ["Usage", "compile_for", "nvrtc_version"]

_USAGE = re.compile(
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
    r"Used (\d+) registers",
    re.DOTALL,
)
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True)
class Usage:
    """What a compiled kernel takes of a multiprocessor."""

    registers: int  # per thread
    shared: int  # bytes per block
    stack: int  # bytes per thread; not 0: something indexed lives in slow memory
    spills: int  # bytes stored and loaded because registers ran out


def nvrtc_version() -> str:
    major, minor = _nvrtc().getVersion()
    return f"{major}.{minor}"


def compile_for(variant: Variant, architecture: int) -> Usage:
    """Compile as CuPy does, for compute capability `architecture` / 10.

    Raises:
        RuntimeError: the compiler's messages.
    """
    nvrtc = _nvrtc()
    defines = (f"-D{define}" for define in variant.defines)
    # -ftz as CuPy adds it.
    options = (f"-arch=sm_{architecture}", "-ftz=true", *OPTIONS, "--ptxas-options=-v", *defines)
    program = nvrtc.createProgram(source(variant.path), variant.path.name, (), ())
    try:
        nvrtc.compileProgram(program, options)
        log = nvrtc.getProgramLog(program)
    except nvrtc.NVRTCError as error:
        log = nvrtc.getProgramLog(program).replace("\0", "").strip()
        raise RuntimeError(f"{variant} for sm_{architecture}: {log}") from error
    finally:
        nvrtc.destroyProgram(program)
    found = _USAGE.search(log)
    if found is None:
        raise RuntimeError(f"{variant} for sm_{architecture}: no usage in the log: {log}")
    stack, stores, loads, registers = map(int, found.groups())
    shared = _SHARED.search(log)
    return Usage(registers, int(shared[1]) if shared else 0, stack, stores + loads)


@functools.cache
def _nvrtc() -> Any:
    from cupy.cuda import nvrtc

    nvrtc.getVersion()  # loads the library now: its own lazy load is not safe among threads
    return nvrtc
