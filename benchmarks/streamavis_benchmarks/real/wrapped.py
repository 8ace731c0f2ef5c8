"""A network inside another object that has its configuration, parameters and state."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from streamavis.runtime.step import StepConfig, StepModel, StepState

__all__ = ["WrappedNetwork"]


class WrappedNetwork:
    """Passes everything but `step` to the network."""

    def __init__(self, network: StepModel) -> None:
        self._network = network

    @property
    def config(self) -> StepConfig:
        """Of the network."""
        return self._network.config

    def parameters(self) -> Iterator[Tensor]:
        """Of the network."""
        return self._network.parameters()

    def init_state(self, streams: int) -> StepState:
        """An empty state for this many streams."""
        return self._network.init_state(streams)
