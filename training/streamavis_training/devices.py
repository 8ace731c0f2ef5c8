"""Where a network is trained, and in which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from streamavis.device import DTYPES, cuda_problem, place
from streamavis_training.trees import to_float

if TYPE_CHECKING:
    from streamavis_training.schedule import Precision

__all__ = ["Mixed", "device_of"]


def device_of(name: str, rank: int = 0) -> torch.device:
    """The device that `name` means for a process.

    Args:
        name: auto, cpu, cuda (each process its own) or cuda:N.
        rank: of the process, which chooses among the GPUs.

    Raises:
        ArgumentError: it is none of these, or CUDA cannot be used here.
    """
    if name in ("auto", "cuda") and not cuda_problem():
        name = f"cuda:{rank % torch.cuda.device_count()}"
    device = place(name, "fp32").device
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


class Mixed(nn.Module):
    """A network computed in a precision, with float32 outputs for the losses."""

    def __init__(self, network: nn.Module, device: torch.device, precision: Precision) -> None:
        super().__init__()
        self.network = network
        self._device, self._precision = device, precision

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._precision == "fp32":
            return self.network(*args, **kwargs)
        with torch.autocast(self._device.type, DTYPES[self._precision]):
            output = self.network(*args, **kwargs)
        return to_float(output)
