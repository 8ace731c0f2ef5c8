"""Several processes that train one network: sums over all of them.

Every function here works in a single process too, where it changes nothing. Where there are
several, each must call the same functions in the same order.
"""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from streamavis_training.trees import to_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "average_norms",
    "gather_plain",
    "gather_rows",
    "join",
    "mean_over_processes",
    "normaliser",
    "rank",
    "scaled_gradient",
    "world",
]

# One process validates while the others wait.
_TIMEOUT = timedelta(hours=6)


def join(rank: int, world: int, device: torch.device, rendezvous: str) -> None:
    """Become one of `world` processes. `rendezvous`: `env://` or a file's URI, the same for all."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(
        backend, init_method=rendezvous, rank=rank, world_size=world, timeout=_TIMEOUT
    )


def world() -> int:
    """How many processes train together; 1 where there is only this one."""
    return dist.get_world_size() if _several() else 1


def rank() -> int:
    """Number of this process, 0 .. world-1."""
    return dist.get_rank() if _several() else 0


def normaliser(count: Tensor, least: float = 1.0) -> Tensor:
    """What a process divides a sum by, so that the mean over processes is the mean over all.

    Args:
        count: what this process has of it, one number; least: of all processes together.

    Returns:
        `count` of all processes, at least `least`, divided by the number of processes.
    """
    count = count.detach().float()
    if _several():
        count = count.clone()
        dist.all_reduce(count)
    return count.clamp_min(least) / world()


def mean_over_processes(values: Sequence[float], device: torch.device) -> list[float]:
    """The mean of each value over the processes."""
    if not _several():
        return list(values)
    together = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(together)
    return [float(x) for x in together / world()]


def gather_rows(rows: Tensor) -> Tensor:
    """The rows (n, C) of all processes in the order of their ranks.

    Rows of other processes carry no gradient; see `scaled_gradient`.
    """
    if not _several():
        return rows
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    numbers = [int(n) for n in counts]
    padded = rows.new_zeros(max(numbers), *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    others = [torch.empty_like(padded) for _ in range(world())]
    dist.all_gather(others, padded)
    parts = [other[:n] for other, n in zip(others, numbers, strict=True)]
    parts[rank()] = rows
    return torch.cat(parts)


def scaled_gradient(loss: Tensor) -> Tensor:
    """A loss that every process has computed whole, for gradients averaged over processes.

    Each process has the gradient of its own rows only: the sum is right, the mean is not.
    """
    return loss * world() - (loss * (world() - 1)).detach()


def gather_plain(value: Any) -> list[Any] | None:
    """`to_plain` of every process's value, at the first process; None at the others."""
    plain = to_plain(value)
    if not _several():
        return [plain]
    file = io.BytesIO()
    torch.save(plain, file)
    found: list[Any] | None = [None] * world() if rank() == 0 else None
    dist.gather_object(file.getvalue(), found)
    if found is None:
        return None
    return [torch.load(io.BytesIO(content), weights_only=True) for content in found]


def average_norms(network: nn.Module) -> None:
    """Give all processes the mean of the statistics that their batch norms gathered."""
    if not _several():
        return
    statistics = [
        value
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
        for value in (module.running_mean, module.running_var)
        if value is not None
    ]
    if not statistics:
        return
    flat = torch.cat([value.flatten() for value in statistics])
    dist.all_reduce(flat)
    flat /= world()
    sizes = [value.numel() for value in statistics]
    for value, mean in zip(statistics, flat.split(sizes), strict=True):
        value.copy_(mean.view_as(value))


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
