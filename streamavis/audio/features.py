"""What one frame hears, whoever listens; and the one who does not.

N frames, A audio channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["AudioFeatures", "DeafEncoder"]


@dataclass
class AudioFeatures:
    """What one frame hears."""

    tokens: Tensor  # (N, A)
    heard_logits: Tensor | None  # (N, K): is a sound of this class in the air, on or off screen
    heard_level: Tensor | None  # (N, K): its momentary loudness, 0..1. None, both: not taught


class DeafEncoder(nn.Module):
    """Hears nothing: the same token always, and even odds for every class. For ablation."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels, self.classes = channels, classes

    def forward(self, audio: Tensor, times_s: Tensor) -> AudioFeatures:
        """As `CausalAudioEncoder`, whatever the sound."""
        nothing = audio.new_zeros(len(times_s), self.classes)
        return AudioFeatures(audio.new_zeros(len(times_s), self.channels), nothing, nothing)
