"""Which implementation runs: chosen once, visible, and overridable."""

from __future__ import annotations

import functools
import logging
import os

from streamavis_kernels import native
from streamavis_kernels.errors import KernelBackendError

__all__ = ["backend"]

_logger = logging.getLogger(__name__)


@functools.cache
def backend() -> str:
    """Say which implementation CPU tensors go through; the first call decides for the process.

    `native` is C++ compiled for this CPU, `reference` is PyTorch: several times slower, everywhere.
    STREAMAVIS_KERNELS names one; otherwise it is native wherever a C++ compiler works.

    Raises:
        KernelBackendError: STREAMAVIS_KERNELS asks for what is not there.
    """
    wanted = os.environ.get("STREAMAVIS_KERNELS", "")
    if wanted == "cupy":
        raise KernelBackendError(
            "STREAMAVIS_KERNELS=cupy: GPU kernels are not part of this version; "
            "unset it, or use native or reference"
        )
    if wanted not in ("", "native", "reference"):
        raise KernelBackendError(f"STREAMAVIS_KERNELS={wanted}: expected native or reference")
    if wanted == "reference":
        return wanted
    try:
        native.prepare()
    except KernelBackendError as error:
        if wanted == "native":
            raise
        _logger.warning("Sampling runs through PyTorch, several times slower: %s", error)
        return "reference"
    return "native"
