"""VGGish on the window that ends with each frame: how a causal network hears as AVISM does.

N frames, K classes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from streamavis.audio.features import AudioFeatures
from streamavis.audio.log_mel import HOP, SPECTRUM_SAMPLES, log_mel
from streamavis.audio.vggish import FEATURES, SPECTRA, VGGish
from streamavis.errors import ShapeError
from streamavis.types import WINDOW_SAMPLES

__all__ = ["VGGishEncoder", "VGGishWeights", "trailing_example"]

VGGishWeights = Literal["absent", "plain", "pca"]

_MISSING = (SPECTRA - 1) * HOP + SPECTRUM_SAMPLES - WINDOW_SAMPLES  # samples: 15 ms


def trailing_example(audio: Tensor) -> Tensor:
    """The newest example that a window holds.

    96 spectra span 0.975 s, a window 0.96: the last two reach past its end. There the sound is
    mirrored, which is closer to what would have come than silence is (RMS error of the two
    spectra 0.58 against 0.79, over 312 windows of 40 recordings) and adds no click.

    Args:
        audio: (N, 15360).

    Returns:
        (N, 96, 64)
    """
    mirrored = audio[:, -_MISSING - 1 : -1].flip(1)
    return log_mel(torch.cat([audio, mirrored], 1))


class VGGishEncoder(nn.Module):
    """Frozen VGGish, or its features made elsewhere, to one token per frame."""

    def __init__(self, classes: int, *, weights: VGGishWeights, taught: bool) -> None:
        """Build it.

        Args:
            classes: K.
            weights: of VGGish, whether there are and end in ACVIS's PCA. "absent": only ready
                features are taken.
            taught: whether it says what is heard, and how loud.
        """
        super().__init__()
        self.vggish: VGGish | None = None
        if weights != "absent":
            self.vggish = VGGish(pca=weights == "pca").requires_grad_(False)
        self.heard = nn.Linear(FEATURES, classes) if taught else None
        self.level = nn.Linear(FEATURES, classes) if taught else None

    def forward(self, audio: Tensor, times_s: Tensor) -> AudioFeatures:
        """Hear the window that ends at each frame.

        Args:
            audio: (N, 15360) samples, or ready features (N, 128).
            times_s: (N,); a window says all there is to hear.

        Raises:
            ShapeError: samples, but there are no weights to hear them with.
        """
        tokens = audio if audio.shape[-1] == FEATURES else self._hear(audio)
        if self.heard is None or self.level is None:
            return AudioFeatures(tokens, None, None)
        return AudioFeatures(tokens, self.heard(tokens), self.level(tokens))

    def _hear(self, audio: Tensor) -> Tensor:
        if self.vggish is None:
            raise ShapeError(
                f"this network holds no VGGish weights and takes ready features (..., {FEATURES}) "
                f"in place of samples, but got audio {tuple(audio.shape)}; convert its weights "
                "again with `streamavis convert ... --causal --vggish FILE`"
            )
        with torch.no_grad():
            return self.vggish(trailing_example(audio))
