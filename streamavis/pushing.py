"""Pictures and sound as a program of one's own has them, made what a session takes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import numpy as np
import torch

from streamavis.errors import ArgumentError, ShapeError
from streamavis.io.pictures import upright_rgb
from streamavis.io.resample import RATES, MonoResampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.types import AudioChunk

__all__ = ["PushedSound", "rgb_picture", "time_ns_of"]

# FFmpeg's names of layouts by the number of channels; mono is the mean of all, whatever they are.
_LAYOUTS: Final = ("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")
_JITTER_S = 0.1  # sound may begin this much before the end of the sound before it
_MOST_S = 2**62 / 1e9


def time_ns_of(time_s: float, before_ns: int | None, what: str) -> int:
    """A time that was given in seconds, in ns.

    Args:
        time_s: seconds on the caller's clock, 0 or later.
        before_ns: of the latest one; None: there was none.
        what: whose time it is.

    Raises:
        ArgumentError: it is negative or not finite, or before the latest one.
    """
    if not (math.isfinite(time_s) and 0 <= time_s < _MOST_S):
        raise ArgumentError(f"time_s of {what} is {time_s}; expected seconds, 0 or more")
    time_ns = round(time_s * 1e9)
    if before_ns is not None and time_ns < before_ns:
        raise ArgumentError(
            f"time_s of {what} is {time_s}, before the latest one's {before_ns / 1e9}; times may "
            "not go back: call restart() where a clock or a recording begins anew"
        )
    return time_ns


def rgb_picture(image: object, *, bgr: bool = False) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 RGB, contiguous, on the host.

    Args:
        image: (H, W, 3) uint8, a NumPy array or a torch tensor on any device; or a PyAV frame of
            any pixel format, which is turned as its file asks.
        bgr: an array's channels are blue, green, red, as OpenCV has them.

    Raises:
        ShapeError: it is something else; says what it is and what would help.
    """
    if isinstance(image, av.VideoFrame):
        if bgr:
            raise ArgumentError("bgr=True, but a PyAV frame knows its own pixel format")
        return upright_rgb(image)
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().numpy()
    if not isinstance(image, np.ndarray):
        raise ShapeError(
            f"image is a {type(image).__name__}; expected (H, W, 3) uint8 as a NumPy array or "
            "torch tensor, or a PyAV video frame"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ShapeError(
            f"image is {image.dtype} {image.shape}; expected uint8 (H, W, 3){_hint(image)}"
        )
    if bgr:
        image = image[..., ::-1]
    picture = np.ascontiguousarray(image)
    return picture if picture.flags.writeable else picture.copy()


def _hint(image: NDArray[np.generic]) -> str:
    """What would make a picture one, where that is plain."""
    if image.dtype.kind == "f":
        return "; scale to 0..255 and convert: (255 * image).astype(np.uint8), if it is 0..1"
    if image.ndim == 2:
        return "; a grey picture: np.stack([image] * 3, axis=-1)"
    if image.ndim == 3 and image.shape[2] == 4:
        return "; leave out alpha: image[..., :3]"
    if image.ndim == 3 and image.shape[0] == 3:
        return "; channels come last: image.transpose(1, 2, 0)"
    return ""


class PushedSound:
    """Turns samples of one rate into 16 kHz mono, piece by piece, as a recording's are.

    The filter holds about 1 ms back, which comes with the next piece.
    """

    def __init__(self, sample_rate: int) -> None:
        """Start.

        Raises:
            ArgumentError: no sound has this rate.
        """
        if sample_rate not in RATES:
            raise ArgumentError(
                f"sample_rate is {sample_rate}; expected {RATES.start} to {RATES.stop - 1} Hz"
            )
        self._rate = int(sample_rate)
        self._resampler = MonoResampler()
        self._end_s: float | None = None  # of the latest piece

    def feed(self, samples: object, time_s: float) -> list[AudioChunk]:
        """Resample a piece.

        Args:
            samples: (n,) or (n, channels), float32 in [-1, 1] or int16; NumPy or torch.
            time_s: when the first was taken, seconds.

        Raises:
            ShapeError: the samples are something else.
            ArgumentError: `time_s` is no time, or over 0.1 s before the end of the latest piece.
        """
        packed = _packed(samples)
        time_ns_of(time_s, None, "sound")
        if self._end_s is not None and time_s < self._end_s - _JITTER_S:
            raise ArgumentError(
                f"time_s of sound is {time_s}, but the latest piece ends at {self._end_s:.6f}; "
                "times may not go back: call restart() where a clock or a recording begins anew"
            )
        if not len(packed):
            return []
        self._end_s = time_s + len(packed) / self._rate
        kind = "s16" if packed.dtype == np.int16 else "flt"
        layout = _LAYOUTS[packed.shape[1] - 1]
        frame = av.AudioFrame.from_ndarray(packed.reshape(1, -1), kind, layout)
        frame.sample_rate = self._rate
        return self._resampler.feed(frame, Fraction(time_s))


def _packed(samples: object) -> NDArray[np.float32] | NDArray[np.int16]:
    """(n, channels) with at most as many channels as have a layout."""
    if isinstance(samples, torch.Tensor):
        samples = samples.detach().cpu().numpy()
    expected = "expected float32 or int16, (n,) or (n, channels)"
    if not isinstance(samples, np.ndarray):
        raise ShapeError(f"samples are a {type(samples).__name__}; {expected}")
    if samples.dtype not in (np.float32, np.int16) or samples.ndim not in (1, 2):
        hint = "; convert with .astype(np.float32)" if samples.dtype == np.float64 else ""
        raise ShapeError(f"samples are {samples.dtype} {samples.shape}; {expected}{hint}")
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.shape[1] == 0 or samples.shape[1] > max(len(samples), len(_LAYOUTS)):
        raise ShapeError(
            f"samples are {samples.dtype} {samples.shape}; {expected}; channels come last: "
            "samples.T"
        )
    if samples.shape[1] > len(_LAYOUTS):
        scale = 1 / 32768 if samples.dtype == np.int16 else 1.0
        mono = samples.mean(axis=1, dtype=np.float32, keepdims=True) * np.float32(scale)
        return np.ascontiguousarray(mono, np.float32)
    return np.ascontiguousarray(samples)
