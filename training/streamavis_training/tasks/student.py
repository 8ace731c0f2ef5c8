"""Training StreamAVIS on clips with truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from streamavis import checkpoint
from streamavis_training.losses import LossWeights, losses
from streamavis_training.pictures import comparison
from streamavis_training.tasks.base import ParamGroup, freeze, hold_norms, parameter_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streamavis.model import ModelState, StreamAVIS
    from streamavis_training.batch import Batch

__all__ = ["StudentConfig", "StudentTask"]


@dataclass(frozen=True)
class StudentConfig:
    """Which parts are trained, and how fast: scales are of the trainer's rate."""

    backbone: float = 1.0  # a pretrained one needs a lower rate, such as 0.1
    audio_encoder: float = 1.0
    attention: float = 0.4  # of everything else
    weight_decay: float = 0.03  # of matrices and kernels; vectors have none
    frozen: tuple[str, ...] = ()  # names of parts, such as "backbone.stem", that stay as they are
    held_norms: tuple[str, ...] = ()  # parts whose batch norms are never trained: pretrained ones


class StudentTask:
    """StreamAVIS with the truth's losses."""

    def __init__(
        self,
        network: StreamAVIS,
        batches: Callable[[int, int, int], Iterator[Batch]],
        config: StudentConfig,
        *,
        weights: LossWeights | None = None,
        evaluate: Callable[[StreamAVIS], dict[str, float]] | None = None,
        best: str | None = None,
        name: str = "nano",
    ) -> None:
        """Make a task of it.

        Args:
            network: trained in place.
            batches: from a batch's number, rank and world; the same numbers give the same batch.
                Parts of the same clips follow one another.
            config: see there.
            weights: of the loss terms.
            evaluate: gives figures of a network in evaluation mode; best: of these, see `Task`.
            name: of the weights file.
        """
        # Twice as fast on a CPU; torch's stubs do not know the keyword.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze(network, config.frozen)
        self.name, self.best = name, best
        self._network, self._batches, self._config = network, batches, config
        self._weights = weights or LossWeights()
        self._evaluate = evaluate

    @property
    def network(self) -> StreamAVIS:
        return self._network

    def groups(self) -> list[ParamGroup]:
        c = self._config
        scales = {"backbone": c.backbone, "audio_encoder": c.audio_encoder}
        return parameter_groups(self._network, scales, c.weight_decay, default=c.attention)

    def batches(self, step: int, rank: int, world: int) -> Iterator[Batch]:
        return self._batches(step, rank, world)

    def loss(
        self, module: nn.Module, batch: Batch, carried: ModelState | None
    ) -> tuple[dict[str, Tensor], ModelState | None]:
        """The truth's losses; the state goes on to the next part of the same clips."""
        # Frames of a clip are too alike to judge a batch's statistics by.
        alike = batch.frames.shape[1] > 1
        hold_norms(self._network, alike, (*self._config.held_norms, *self._config.frozen))
        state = None if batch.first else carried
        output = module(batch.frames, batch.audio, batch.times_s, state=state)
        terms = losses(output, batch.truth, self._weights)
        return terms, None if batch.last else output.state

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return self._evaluate(cast("StreamAVIS", network)) if self._evaluate else {}

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """The first clip of the first and of a late batch: truth beside prediction."""
        device = next(network.parameters()).device
        batch = next(self._batches(0, 0, 1))
        with torch.no_grad():
            sees = batch.frames.to(device), batch.audio.to(device), batch.times_s.to(device)
            output = network(*sees)
        return {"truth | prediction": comparison(batch, output)}

    def save(self, network: nn.Module, path: Path, notes: Mapping[str, str]) -> None:
        checkpoint.save(cast("StreamAVIS", network), path, notes)
