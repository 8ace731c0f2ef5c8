"""Where a kernel's tests run it: on the emulation of a GPU, and on a GPU where there is one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from kernel_checks.emulator import Emulator
from streamavis_kernels import cupy_backend
from streamavis_kernels.errors import KernelBackendError
from streamavis_kernels.launch import Runner
from streamavis_kernels.sampling import native

__all__ = ["RUNNERS", "Where", "close", "needs_compiler", "same"]


@dataclass(frozen=True)
class Where:
    """A kind of machine, and the orders of threads that can be had there."""

    device: str

    def runner(self, seed: int = 0) -> Runner:
        return Emulator(seed) if self.device == "cpu" else cupy_backend.run

    def put(self, *tensors):
        """The tensors on this machine, as a kernel wants them: without gradient."""
        return [x if x is None else x.detach().to(self.device) for x in tensors]


def _problem() -> str:
    """Why no kernel can be built here; empty where one can."""
    try:
        native.prepare()
    except KernelBackendError as error:
        return str(error)
    return ""


_PROBLEM = _problem()
needs_compiler = pytest.mark.skipif(bool(_PROBLEM), reason=_PROBLEM)
RUNNERS = pytest.mark.parametrize(
    "where",
    [
        pytest.param(Where("cpu"), id="emulated", marks=needs_compiler),
        pytest.param(Where("cuda"), id="cupy", marks=pytest.mark.gpu),
    ],
)


def close(found, expected, tolerance):
    """Equal relative to the largest value that is expected."""
    assert found.shape == expected.shape
    if expected.numel():
        found, expected = found.double().cpu(), expected.double().cpu()
        scale = expected.abs().max().clamp(min=1e-30)
        error = ((found - expected).abs().max() / scale).item()
        assert error <= tolerance, f"relative error {error:.3g} is above {tolerance}"


def same(found, expected):
    """Equal to the bit, NaN like NaN."""
    assert torch.equal(found.cpu().nan_to_num(nan=1e30), expected.cpu().nan_to_num(nan=1e30))
