"""Training the audio encoder alone: what sounds and how loud, without pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load_file

from streamavis.checkpoint.writing import write_tensors
from streamavis.errors import CheckpointError
from streamavis_training.losses import LossWeights, hearing_losses
from streamavis_training.tasks.base import ParamGroup, hold_norms, parameter_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from streamavis_training.batch import Batch

__all__ = ["AudioTask", "fill_encoder"]


class AudioTask:
    """An audio encoder with the losses of its own outputs."""

    name = "audio"

    def __init__(
        self,
        encoder: nn.Module,
        batches: Callable[[int, int, int], Iterator[Batch]],
        *,
        weights: LossWeights | None = None,
        weight_decay: float = 0.03,
        evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
        best: str | None = None,
    ) -> None:
        """Make a task of it.

        Args:
            encoder: gives `AudioFeatures` with logits and levels; trained in place.
            batches: as `StudentTask` takes them; frames are not looked at and may be empty.
            weights: of the loss terms; weight_decay: of matrices and kernels.
            evaluate, best: as `StudentTask`.
        """
        self.best = best
        self._encoder, self._batches = encoder, batches
        self._weights, self._weight_decay = weights or LossWeights(), weight_decay
        self._evaluate = evaluate

    @property
    def network(self) -> nn.Module:
        return self._encoder

    def groups(self) -> list[ParamGroup]:
        return parameter_groups(self._encoder, {}, self._weight_decay)

    def batches(self, step: int, rank: int, world: int) -> Iterator[Batch]:
        return self._batches(step, rank, world)

    def loss(
        self, module: nn.Module, batch: Batch, carried: None
    ) -> tuple[dict[str, Tensor], None]:
        """Every frame's sound for itself; nothing is carried."""
        hold_norms(self._encoder, False)
        shape = batch.times_s.shape
        heard = module(batch.audio.flatten(0, 1), batch.times_s.flatten())
        logits, level = (x.unflatten(0, shape) for x in (heard.heard_logits, heard.heard_level))
        return hearing_losses(logits, level, batch.truth, self._weights), None

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return self._evaluate(network) if self._evaluate else {}

    def save(self, network: nn.Module, path: Path, notes: Mapping[str, str]) -> None:
        state = {name: x.contiguous().cpu() for name, x in network.state_dict().items()}
        write_tensors(state, path, {"kind": "audio encoder", **notes})


def fill_encoder(encoder: nn.Module, path: Path) -> None:
    """Load what `AudioTask` saved.

    Raises:
        CheckpointError: it is of another encoder.
    """
    state = load_file(str(path))
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} is of another audio encoder; remove its folder to train one anew: {error}"
        ) from error
