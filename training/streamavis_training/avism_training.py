"""AVISM as it is trained: its audio features, its ground truth, and its parameter groups.

B clips, T frames, N objects, A audio channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from streamavis.audio.trailing import trailing_example
from streamavis.errors import ShapeError
from streamavis.model.avism import AVISM, AVISMConfig, Lesson
from streamavis.types import WINDOW_SAMPLES
from streamavis_training.avism_losses import ClipTruth, Compat

if TYPE_CHECKING:
    from streamavis.audio.vggish import VGGish
    from streamavis_training.batch import Truth

__all__ = ["TeacherNet", "TeacherOutput", "clip_truths", "decayed", "vggish_features"]

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
# Embeddings in the published code: learned queries, positions and Swin's tables. The pixel
# decoder's `level_embed` is a parameter of its own there, and is decayed.
_EMBEDDINGS = (
    *("query_feat", "query_embed", "token_position", "count_token"),
    *("localizer.level_embed", "bias_table"),
)
_VGGISH_AT_ONCE = 16  # windows


@dataclass
class TeacherOutput:
    """What the losses are taken on."""

    lesson: Lesson
    heard_logits: Tensor | None  # (B, T, K); None where the network has no audio encoder
    heard_level: Tensor | None  # (B, T, K)


class TeacherNet(AVISM):
    """An AVISM whose `forward` gives what the losses are taken on."""

    def __init__(self, config: AVISMConfig, *, compat: Compat = "paper") -> None:
        """Build it.

        Args:
            config: shape of the network.
            compat: "reference" shifts no window of the object encoder in training, as the
                published code does.
        """
        super().__init__(config)
        self._shift = compat == "paper"

    def forward(  # type: ignore[override]
        self, frames: Tensor, audio: Tensor, times_s: Tensor
    ) -> TeacherOutput:
        """See and hear a batch of clips, each on its own.

        Args:
            frames: (B, T, 3, H, W) uint8.
            audio: (B, T, 15360) where the network has an audio encoder, else features (B, T, A).
            times_s: (B, T) float64, when each window ends.

        Raises:
            ShapeError: an argument has the wrong shape or dtype.
        """
        if self.audio_encoder is None:
            return TeacherOutput(self.supervised(frames, audio, shift=self._shift), None, None)
        shape = times_s.shape
        if audio.shape != (*shape, WINDOW_SAMPLES):
            raise ShapeError(
                f"audio must hold {WINDOW_SAMPLES} samples per frame, {(*shape, WINDOW_SAMPLES)}, "
                f"but got {tuple(audio.shape)}; this network has an audio encoder of its own"
            )
        windows = audio.flatten(0, 1)
        heard = self.audio_encoder(windows, times_s.flatten())
        tokens = (heard.tokens * windows.any(1, keepdim=True)).unflatten(0, shape)
        return TeacherOutput(
            self.supervised(frames, tokens, shift=self._shift),
            heard.heard_logits.unflatten(0, shape),
            heard.heard_level.unflatten(0, shape),
        )


@torch.no_grad()
def vggish_features(vggish: VGGish, audio: Tensor) -> Tensor:
    """Features of windows: (B, T, 15360) -> (B, T, 128); zeros where a window has no sound."""
    windows = audio.flatten(0, 1)
    heard = [vggish(trailing_example(part)) for part in windows.split(_VGGISH_AT_ONCE)]
    return (torch.cat(heard) * windows.any(1, keepdim=True)).unflatten(0, audio.shape[:2])


def clip_truths(truth: Truth) -> list[ClipTruth]:
    """The ground truth of each clip as AVISM takes it: objects that are in view and sound.

    Objects of which nobody knows whether they sound count as sounding: those of COCO and other
    pictures without sound. Unlabelled objects have the target "no object", as the
    published code does on AVISeg, whose labels leave out what is silent.
    """
    present = truth.seen & (truth.sounding != 0)  # NaN != 0
    truths = []
    for b in range(len(present)):
        rows = present[b].any(0).nonzero()[:, 0]
        here = present[b][:, rows].T
        masks = truth.masks[b][:, rows].transpose(0, 1) * here[..., None, None]
        truths.append(ClipTruth(truth.class_ids[b, rows], here, masks))
    return truths


def decayed(network: nn.Module) -> dict[str, bool]:
    """Whether weight decay applies to each parameter, as in the published optimiser.

    It does not to norms and to embeddings. It does to biases.
    """
    owners = dict(network.named_modules())
    return {
        name: not (
            isinstance(owners[name.rpartition(".")[0]], _NORMS) or name.endswith(_EMBEDDINGS)
        )
        for name, _ in network.named_parameters()
    }
