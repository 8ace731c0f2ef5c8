"""Which implementation runs: chosen once per kind of device, visible, and overridable."""

from __future__ import annotations

import functools
import logging
import os

from streamavis_kernels import cupy_backend
from streamavis_kernels.errors import KernelBackendError
from streamavis_kernels.sampling import native

__all__ = ["backend"]

_logger = logging.getLogger(__name__)
_NAMES = ("cupy", "native", "reference")


@functools.cache
def _choose(device: str) -> str:
    wanted = os.environ.get("STREAMAVIS_KERNELS", "")
    if wanted not in ("", *_NAMES):
        raise KernelBackendError(f"STREAMAVIS_KERNELS={wanted}: expected {', '.join(_NAMES)}")
    if wanted == "cupy":
        cupy_backend.prepare()
    if wanted == "native":
        native.prepare()
    prepare = {"cuda": cupy_backend.prepare, "cpu": native.prepare}.get(device)
    # On a GPU, `native` asks to do without CuPy.
    if prepare is None or wanted == "reference" or (wanted, device) == ("native", "cuda"):
        return "reference"
    try:
        prepare()
    except KernelBackendError as error:
        _logger.warning("Kernels run through PyTorch, several times slower: %s", error)
        return "reference"
    return "cupy" if device == "cuda" else "native"


def backend(device: str = "cpu") -> str:
    """Say which implementation tensors of a device go through; the first call decides.

    `cupy` is CUDA C compiled for this GPU, `native` is C++ compiled for this CPU, `reference` is
    PyTorch: several times slower, everywhere. STREAMAVIS_KERNELS names one: `cupy` or `native` must
    then work, and the other kind of device is served as ever; `native` leaves CuPy alone, and
    `reference` is for all. Otherwise each device has its own wherever it works.

    Args:
        device: "cpu", "cuda" or another `torch.device.type`, which gets the reference.

    Raises:
        KernelBackendError: STREAMAVIS_KERNELS asks for what is not there.
    """
    return _choose(device)


# As torch.compiler.assume_constant_result marks it: that would load all of the compiler, for 0.9 s.
backend._dynamo_marked_constant = True  # type: ignore[attr-defined]
