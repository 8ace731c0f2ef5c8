"""Where a network runs and in which number format: chosen once, with the reason in words."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import torch

from streamavis.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEVICES", "DTYPES", "DtypeName", "Placement", "cuda_problem", "place"]

_LOG = logging.getLogger(__name__)

DtypeName = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES: Final[dict[str, torch.dtype]] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
DEVICES: Final = "auto, cpu, cuda or cuda:N"
_FIRST_WITH_BF16 = (8, 0)  # compute capability; older GPUs emulate it


@dataclass(frozen=True)
class Placement:
    """A device, a number format, and why."""

    device: torch.device
    dtype: torch.dtype  # computed in; weights stay float32
    reason: str  # one clause for people

    def __str__(self) -> str:
        name = next(name for name, dtype in DTYPES.items() if dtype == self.dtype)
        return f"runs on {self.device} in {name}: {self.reason}"


def place(
    device: str | torch.device | Placement = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    log: Callable[[str], object] = _LOG.info,
) -> Placement:
    """Choose where a network runs.

    Args:
        device: `auto` takes the first usable CUDA device, else the CPU; `cpu`, `cuda`, `cuda:N`.
            A choice that was made before is returned as it is.
        dtype: `fp32`, `bf16`, `fp16` (CUDA alone); `auto` is bf16 on a CUDA device that computes
            in it, else fp32. Weights stay float32; 16 bits are autocast's.
        log: gets the choice and its reason, one line.

    Raises:
        ArgumentError: a name is unknown, the device cannot be used, or it cannot compute in
            `dtype`; says why and what to use.
    """
    if isinstance(device, Placement):
        return device
    wanted = _parsed(device)
    if wanted is None:
        problem = cuda_problem()
        chosen = torch.device("cpu" if problem else "cuda:0")
        reason = problem or f"{torch.cuda.get_device_name(0)} can be used"
    else:
        chosen, reason = wanted, "as asked for"
        if wanted.type == "cuda":
            chosen = torch.device("cuda", wanted.index or 0)
            if problem := cuda_problem(chosen.index):
                raise ArgumentError(
                    f"device is {str(device)!r}, but {problem}; use device cpu or auto"
                )
            reason = f"{torch.cuda.get_device_name(chosen)}, as asked for"
    placement = Placement(chosen, _number_format(dtype, chosen), reason)
    log(str(placement))
    return placement


def cuda_problem(index: int = 0) -> str:
    """Why the CUDA device of this number cannot be used; "" where it can."""
    if torch.version.cuda is None:
        return f"this PyTorch ({torch.__version__}) is built without CUDA"
    if not torch.cuda.is_available():
        return "PyTorch finds no NVIDIA GPU with a driver"
    count = torch.cuda.device_count()
    if index >= count:
        return f"there are {count} CUDA devices, numbered from 0"
    try:
        torch.ones(1, device=torch.device("cuda", index)).add_(1).item()
    except RuntimeError as error:  # in use by another process, or too old for this PyTorch
        first = (str(error).splitlines() or ["it gives no reason"])[0]
        return f"cuda:{index} does not compute: {first}"
    return ""


def _parsed(device: str | torch.device) -> torch.device | None:
    """The device that was named; None: `auto`."""
    if device == "auto":
        return None
    try:
        parsed = torch.device(device)
    except RuntimeError:
        parsed = None
    if parsed is None or parsed.type not in ("cpu", "cuda"):
        raise ArgumentError(f"device is {str(device)!r}; expected {DEVICES}")
    return torch.device("cpu") if parsed.type == "cpu" else parsed


def _number_format(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        if device.type == "cpu" or torch.cuda.get_device_capability(device) < _FIRST_WITH_BF16:
            return torch.float32
        return torch.bfloat16
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found is None or found not in DTYPES.values():
        raise ArgumentError(f"dtype is {str(dtype)!r}; expected auto, {', '.join(DTYPES)}")
    if found == torch.float16 and device.type == "cpu":
        raise ArgumentError("dtype is fp16, which needs a CUDA device; on a CPU use fp32 or bf16")
    return found
