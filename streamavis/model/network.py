"""What both networks share: the number format that inference computes in."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["Network"]


class Network(nn.Module):
    """A network whose weights are float32 and whose inference may compute in 16 bits.

    Attributes:
        compute_dtype: of inference: float32, or bfloat16 or float16 by autocast, which keeps
            float32 where 16 bits are too few. Training chooses its own.
    """

    compute_dtype: torch.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def computing(self) -> AbstractContextManager[object]:
        """The context that inference runs in."""
        if self.compute_dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.compute_dtype)
