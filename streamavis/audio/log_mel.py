"""Log-mel spectra exactly as VGGish takes them, in plain torch.

25 ms periodic Hann windows every 10 ms, 512-point FFT magnitudes, 64 HTK mel bands from 125 to
7500 Hz, log(mel + 0.01) (AudioSet's `vggish_params.py`; AVISM section 11).
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from streamavis.errors import ShapeError
from streamavis.types import SAMPLE_RATE

__all__ = ["BANDS", "HOP", "SPECTRUM_SAMPLES", "log_mel"]

HOP = 160  # samples, 10 ms
SPECTRUM_SAMPLES = 400  # samples, 25 ms: what one spectrum looks at
BANDS = 64
_FFT = 512
_LOW_HZ, _HIGH_HZ = 125.0, 7500.0
_OFFSET = 0.01


def log_mel(waveform: Tensor) -> Tensor:
    """Spectra of a waveform, one per hop that fits whole.

    Args:
        waveform: (..., samples), 16 kHz mono in [-1, 1].

    Returns:
        (..., A, 64) with A = 1 + (samples - 400) // 160.

    Raises:
        ShapeError: fewer samples than one spectrum needs.
    """
    if waveform.shape[-1] < SPECTRUM_SAMPLES:
        raise ShapeError(
            f"log_mel needs at least {SPECTRUM_SAMPLES} samples but got {waveform.shape[-1]}"
        )
    window, bands = _window(waveform.device), _mel_bands(waveform.device)
    pieces = waveform.float().unfold(-1, SPECTRUM_SAMPLES, HOP) * window  # (..., A, 400)
    magnitude = torch.fft.rfft(pieces, _FFT).abs()  # (..., A, 257)
    return torch.log(magnitude @ bands + _OFFSET)


def _to_mel(hz: float | Tensor) -> float | Tensor:
    if isinstance(hz, Tensor):
        return 1127.0 * torch.log1p(hz / 700.0)
    return 1127.0 * math.log1p(hz / 700.0)


@functools.cache
@torch.inference_mode(False)  # a constant made while streaming must serve training too
def _window(device: torch.device) -> Tensor:
    return torch.hann_window(SPECTRUM_SAMPLES, periodic=True, device=device)


@functools.cache
@torch.inference_mode(False)  # a constant made while streaming must serve training too
def _mel_bands(device: torch.device) -> Tensor:
    """(257, 64) triangular weights, linear in mel, the DC bin left out as VGGish does."""
    bins = _to_mel(torch.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1, dtype=torch.float64))
    edges = torch.linspace(
        float(_to_mel(_LOW_HZ)), float(_to_mel(_HIGH_HZ)), BANDS + 2, dtype=torch.float64
    )
    assert isinstance(bins, Tensor)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    weights = torch.minimum(rising, falling).clamp_min(0)
    weights[0] = 0
    return weights.float().to(device)
