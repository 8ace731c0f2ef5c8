"""What every audio encoder returns for one frame; and the null audio encoder, for ablation.

N frames, A audio channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["AudioFeatures", "NullAudioEncoder"]


@dataclass
class AudioFeatures:
    """What an audio encoder says of one frame."""

    tokens: Tensor  # (N, A)
    heard_logits: Tensor | None  # (N, K): a sound of this class is audible, on or off screen
    heard_level: Tensor | None  # (N, K): its momentary loudness, 0..1. Both None: no such heads


class NullAudioEncoder(nn.Module):
    """Ignores the sound: zero token, probability 0.5 for every class. For ablation."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels, self.classes = channels, classes

    def forward(self, audio: Tensor, times_s: Tensor) -> AudioFeatures:
        """As `CausalAudioEncoder`; the sound is ignored."""
        nothing = audio.new_zeros(len(times_s), self.classes)
        return AudioFeatures(audio.new_zeros(len(times_s), self.channels), nothing, nothing)
