"""Where a network is trained, and in which precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from streamavis.errors import ArgumentError
from streamavis_training.trees import to_float

if TYPE_CHECKING:
    from streamavis_training.schedule import Precision

__all__ = ["Mixed", "device_of"]

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def device_of(name: str, rank: int = 0) -> torch.device:
    """The device that `name` means for a process.

    Args:
        name: auto, cpu, cuda (each process its own) or cuda:N.
        rank: of the process, which chooses among the GPUs.

    Raises:
        ArgumentError: it is none of these, or CUDA cannot be used here.
    """
    usable = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if usable else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ArgumentError(f"device is {name!r}; expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ArgumentError(f"device is {name!r}; expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count() if usable else 0
        index = rank % max(count, 1) if device.index is None else device.index
        if index >= count:
            raise ArgumentError(f"device is {name!r}, but {count} CUDA devices can be used here")
        device = torch.device("cuda", index)
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
        with torch.autocast(self._device.type, _TYPES[self._precision]):
            output = self.network(*args, **kwargs)
        return to_float(output)
