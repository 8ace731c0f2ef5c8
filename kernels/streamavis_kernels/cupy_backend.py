"""Runs launches on a GPU: CuPy compiles the source once, and launches on torch's current stream.

All memory is torch's. The first launch of a variant compiles and loads it, which a CUDA graph
cannot record: run a step once before capturing it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from streamavis_kernels.errors import KernelBackendError
from streamavis_kernels.launch import source

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis_kernels.launch import Launch, Runner, Variant

__all__ = ["OPTIONS", "on_gpu", "prepare", "run"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

OPTIONS = ("-std=c++17", "--device-as-default-execution-space")
_INSTALL = "install it with: pip install 'streamavis[cuda13]' (or [cuda12], as `nvidia-smi` says)"


def prepare() -> None:
    """See that CuPy is here and can reach a GPU, so that a machine without is known at once.

    Raises:
        KernelBackendError: why GPU kernels cannot be had here.
    """
    if not torch.cuda.is_available():
        raise KernelBackendError(
            "PyTorch finds no CUDA device (torch.cuda.is_available() is False)"
        )
    try:
        import cupy
    except ImportError as error:
        raise KernelBackendError(f"cupy cannot be imported ({error}); {_INSTALL}") from error
    if not cupy.cuda.is_available():
        raise KernelBackendError(f"cupy {cupy.__version__} finds no CUDA device; {_INSTALL}")


def run(launch: Launch) -> None:
    """Queue `launch` on torch's current stream of the current device."""
    stream = torch.cuda.current_stream()
    kernel = _kernel(launch.variant, stream.device_index)
    with _cupy_stream(stream):
        kernel(launch.grid, (launch.block,), launch.arguments)


def on_gpu(
    launcher: Callable[Concatenate[Runner, Arguments], Result],
) -> Callable[Arguments, Result]:
    """Make a launcher an operator's implementation: CuPy runs it, on the device of its tensors."""

    @functools.wraps(launcher)
    def implementation(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        device = next(x.device for x in args if isinstance(x, Tensor))
        with torch.cuda.device(device):
            return launcher(run, *args, **kwargs)

    return implementation


@functools.cache
def _kernel(variant: Variant, device: int) -> Any:
    import cupy

    defines = tuple(f"-D{define}" for define in variant.defines)
    module = cupy.RawModule(code=source(variant.path), options=(*OPTIONS, *defines))
    return module.get_function(variant.kernel)


@functools.lru_cache(maxsize=64)  # streams come and go; a place in the cache keeps one alive
def _cupy_stream(stream: torch.cuda.Stream) -> Any:
    import cupy

    if hasattr(cupy.cuda.Stream, "from_external") and hasattr(stream, "__cuda_stream__"):
        return cupy.cuda.Stream.from_external(stream)
    return cupy.cuda.ExternalStream(stream.cuda_stream, stream.device_index)  # CuPy 13
