"""The interface between the trainer and a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor, nn

from streamavis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["DrawsPictures", "ParamGroup", "Task", "freeze", "hold_norms", "parameter_groups"]


@dataclass(frozen=True)
class ParamGroup:
    """Parameters that share a learning rate and a weight decay."""

    name: str
    parameters: list[nn.Parameter]
    scale: float  # times the trainer's rate
    weight_decay: float


class Task(Protocol):
    """Network, loss, data and evaluation of one kind of training."""

    name: str  # of the weights file: NAME.safetensors
    best: str | None  # key of `evaluate` whose largest value marks best.safetensors

    @property
    def network(self) -> nn.Module:
        """What is trained, saved and averaged."""

    def groups(self) -> list[ParamGroup]:
        """Each parameter that requires a gradient, in exactly one group."""

    def batches(self, step: int, rank: int, world: int) -> Iterator[Any]:
        """This process's batches from number `step` on; the same numbers give the same batches."""

    def loss(self, module: nn.Module, batch: Any, carried: Any) -> tuple[dict[str, Tensor], Any]:
        """Weighted loss terms of one batch.

        Args:
            module: `network`, or what wraps it for several processes or mixed precision; called
                once, as a function. Its outputs are float32.
            batch: one of `batches`, on the trainer's device.
            carried: what the previous call returned; None at the start.

        Returns:
            terms, whose sum is the loss, and what the next call is given: dataclasses and
            containers of tensors without gradient, or None.
        """

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an averaged copy in evaluation mode; {} if there is no validation data."""

    def save(self, network: nn.Module, path: Path, notes: Mapping[str, str]) -> None:
        """Write the file that a user loads."""


@runtime_checkable
class DrawsPictures(Protocol):
    """A task that also shows what its network does."""

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """uint8 RGB pictures (3, H, W) by name, of an averaged copy in evaluation mode."""


def freeze(network: nn.Module, prefixes: Sequence[str]) -> None:
    """Leave the parameters whose names begin with one of `prefixes` as they are.

    Raises:
        CheckpointError: a prefix names no parameter.
    """
    for prefix in prefixes:
        found = [p for name, p in network.named_parameters() if _within(name, prefix)]
        if not found:
            parts = sorted({name.partition(".")[0] for name, _ in network.named_parameters()})
            raise CheckpointError(
                f"nothing to freeze is called {prefix!r}; the network's parts are {parts}"
            )
        for parameter in found:
            parameter.requires_grad_(False)


def hold_norms(network: nn.Module, hold: bool, always: Sequence[str] = ()) -> None:
    """Put batch norms into evaluation mode where `hold`, those within `always` in any case."""
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(not (hold or any(_within(name, prefix) for prefix in always)))


def parameter_groups(
    network: nn.Module, scales: Mapping[str, float], weight_decay: float, *, default: float = 1.0
) -> list[ParamGroup]:
    """Groups by the first prefix that a name begins with; vectors and scalars are not decayed.

    Args:
        network: parameters that require no gradient are left out.
        scales: rate by prefix of the parameters' names, times the trainer's; longest first wins.
        default: rate of what has no prefix here.
    """
    order = sorted(scales, key=len, reverse=True)
    found: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        prefix = next((one for one in order if _within(name, one)), "")
        found.setdefault((prefix, parameter.ndim <= 1), []).append(parameter)
    return [
        ParamGroup(
            (prefix or "rest") + (", vectors" if vector else ""),
            parameters,
            scales.get(prefix, default),
            0.0 if vector else weight_decay,
        )
        for (prefix, vector), parameters in sorted(found.items())
    ]


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
