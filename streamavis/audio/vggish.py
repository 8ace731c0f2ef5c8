"""VGGish (Hershey et al. 2017): what AVISM hears with, one row of 128 numbers per second.

N examples, T seconds. Parameter names are those of the published PyTorch weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamavis.audio.log_mel import BANDS, HOP, SPECTRUM_SAMPLES, log_mel
from streamavis.errors import ShapeError
from streamavis.types import SAMPLE_RATE

__all__ = ["FEATURES", "SPECTRA", "Postprocessor", "VGGish", "second_examples"]

SPECTRA = 96  # of an example
FEATURES = 128
_EXAMPLE_SAMPLES = (SPECTRA - 1) * HOP + SPECTRUM_SAMPLES  # 0.975 s
_PCA_LIMIT, _PCA_LEVELS = 2.0, 255
_CHUNK = 64  # seconds put through the network at once


class Postprocessor(nn.Module):
    """AudioSet's PCA and rounding to 0..255, which ACVIS hears through and AVISM does not."""

    pca_eigen_vectors: Tensor
    pca_means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pca_eigen_vectors", torch.eye(FEATURES))
        self.register_buffer("pca_means", torch.zeros(FEATURES, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, 128) -> (N, 128), whole numbers in 0..255."""
        turned = (features - self.pca_means[:, 0]) @ self.pca_eigen_vectors.T
        clipped = turned.clamp(-_PCA_LIMIT, _PCA_LIMIT)
        return ((clipped + _PCA_LIMIT) * (_PCA_LEVELS / (2 * _PCA_LIMIT))).round()


class VGGish(nn.Module):
    """Log-mel examples to features, 0 or more (after the last ReLU)."""

    def __init__(self, *, pca: bool = False) -> None:
        """Build it; `pca` adds the postprocessor, as in ACVIS."""
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for outputs in ((64,), (128,), (256, 256), (512, 512)):
            for width in outputs:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        flat = inputs * (SPECTRA // 16) * (BANDS // 16)
        self.embeddings = nn.Sequential(
            *(nn.Linear(flat, 4096), nn.ReLU(inplace=True)),
            *(nn.Linear(4096, 4096), nn.ReLU(inplace=True)),
            *(nn.Linear(4096, FEATURES), nn.ReLU(inplace=True)),
        )
        self.pproc = Postprocessor() if pca else None

    def forward(self, examples: Tensor) -> Tensor:
        """Hear (N, 96, 64) log-mel spectra.

        Returns:
            (N, 128)

        Raises:
            ShapeError: the examples have another shape.
        """
        if examples.ndim != 3 or examples.shape[1:] != (SPECTRA, BANDS):
            raise ShapeError(
                f"examples must be (N, {SPECTRA}, {BANDS}) but got {tuple(examples.shape)}"
            )
        maps = self.features(examples[:, None])
        # TensorFlow's order, in which the weights were trained: channels last.
        features = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return features if self.pproc is None else self.pproc(features)

    def per_second(self, waveform: Tensor, rows: int, rate: float = 1.0) -> Tensor:
        """Hear a recording second by second.

        Args:
            waveform: (samples,) 16 kHz mono in [-1, 1].
            rows: T; the sound may end earlier or later.
            rate: rows per second of sound; each hears the second that begins at its time.

        Returns:
            (T, 128); zeros for seconds that are not there whole.
        """
        examples, whole = second_examples(waveform, rows, rate)
        heard = examples.new_zeros(rows, FEATURES)
        for chunk in whole.nonzero()[:, 0].split(_CHUNK):
            heard[chunk] = self(examples[chunk])
        return heard


def second_examples(waveform: Tensor, rows: int, rate: float = 1.0) -> tuple[Tensor, Tensor]:
    """Cut a recording into one example per second, from the second's first 96 spectra.

    Args:
        waveform: (samples,) 16 kHz mono; rows: T; rate: rows per second of sound.

    Returns:
        examples (T, 96, 64), and (T,) bool: the second holds an example; zeros where not.

    Raises:
        ShapeError: the waveform is not one-dimensional.
    """
    if waveform.ndim != 1:
        raise ShapeError(f"waveform must be (samples,) but got {tuple(waveform.shape)}")
    starts = [round(i * SAMPLE_RATE / rate) for i in range(rows)]
    whole = torch.tensor([start + _EXAMPLE_SAMPLES <= len(waveform) for start in starts])
    examples = waveform.new_zeros(rows, SPECTRA, BANDS, dtype=torch.float32)
    for i in whole.nonzero()[:, 0].tolist():
        examples[i] = log_mel(waveform[starts[i] :][:_EXAMPLE_SAMPLES])
    return examples, whole
