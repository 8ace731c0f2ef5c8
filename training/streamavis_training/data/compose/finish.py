"""What a camera and a codec do to the frames of a clip."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.data.compose.look import Look

__all__ = ["Finisher", "h264"]

_STORED = 640  # side of the stored noise


class Finisher:
    """Light, blur, noise and compression of whole clips."""

    def __init__(self, look: Look) -> None:
        self._look = look
        rng = np.random.default_rng(20262)
        fine = rng.standard_normal((_STORED, _STORED, 3), dtype=np.float32)
        coarse = cv2.GaussianBlur(fine, (0, 0), 1.0)
        self._noise = (fine, coarse / coarse.std())

    def apply(self, frames: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
        """(T, H, W, 3) RGB 0..255 -> the same as uint8, as a camera would give it."""
        look = self._look
        if rng.random() < look.motion_blur:
            kernel = _streak(int(rng.integers(3, 10)), rng.uniform(0, np.pi))
            frames = np.stack([cv2.filter2D(frame, -1, kernel) for frame in frames])
        if rng.random() < look.blur:
            width = rng.uniform(0.4, 1.3)
            frames = np.stack([cv2.GaussianBlur(frame, (0, 0), width) for frame in frames])
        if rng.random() < look.coarse:
            frames = _coarse(frames, rng)
        dark = rng.random() < look.dark
        gain = (rng.uniform(0.15, 0.5) if dark else rng.uniform(0.75, 1.15)) * _cast(rng)
        if rng.random() < look.grey:
            frames = np.repeat(frames.mean(-1, keepdims=True), 3, -1)
        offset = rng.uniform(-15, 12) if not dark else rng.uniform(0, 8)
        frames = frames * gain + np.float32(offset)
        if dark or rng.random() < look.noise:
            strength = rng.uniform(3, 12) if dark else rng.uniform(1, 9)
            self._add_noise(frames, np.float32(strength), rng)
        if dark and rng.random() < 0.4:  # the camera turns its gain up
            frames *= np.float32(rng.uniform(1.2, 2.0))
        out = np.clip(frames, 0, 255).astype(np.uint8)
        if rng.random() < 0.3:
            out = _curve(rng)[out]
        if len(out) > 1 and rng.random() < look.h264:
            return h264(out, int(rng.integers(26, 42)))
        if rng.random() < look.jpeg:
            return _jpeg(out, int(rng.integers(15, 92)))
        return out

    def _add_noise(
        self, frames: NDArray[np.float32], strength: np.float32, rng: np.random.Generator
    ) -> None:
        noise = self._noise[int(rng.random() < 0.4)]
        height, width = frames.shape[1:3]
        tiles = (-(-height // (_STORED // 2)) + 1, -(-width // (_STORED // 2)) + 1)
        if tiles > (2, 2):
            noise = np.tile(noise, (tiles[0], tiles[1], 1))
        for frame in frames:
            y = int(rng.integers(noise.shape[0] - height + 1))
            x = int(rng.integers(noise.shape[1] - width + 1))
            frame += noise[y : y + height, x : x + width] * strength


def _cast(rng: np.random.Generator) -> NDArray[np.float32]:
    """Gains of red, green and blue; at times a strong cast."""
    spread = 0.25 if rng.random() < 0.08 else 0.08
    return rng.uniform(1 - spread, 1 + spread, 3).astype(np.float32)


def _curve(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A lookup table: gamma."""
    levels = (np.arange(256) / 255) ** np.exp(rng.uniform(-0.4, 0.4))
    return np.round(levels * 255).astype(np.uint8)


def _streak(length: int, angle: float) -> NDArray[np.float32]:
    """(n, n) kernel of a straight motion, sum 1."""
    kernel = np.zeros((length | 1, length | 1), np.float32)
    middle = (length | 1) // 2
    for step in np.linspace(-middle, middle, 4 * length):
        x, y = middle + step * np.cos(angle), middle + step * np.sin(angle)
        kernel[round(y), round(x)] += 1
    return kernel / kernel.sum()


def _coarse(frames: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    height, width = frames.shape[1:3]
    share = rng.uniform(0.35, 0.8)
    small = (max(int(width * share), 8), max(int(height * share), 8))
    return np.stack(
        [
            cv2.resize(
                cv2.resize(frame, small, interpolation=cv2.INTER_AREA),
                (width, height),
                interpolation=cv2.INTER_LINEAR,
            )
            for frame in frames
        ]
    )


def _jpeg(frames: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    out = np.empty_like(frames)
    for t, frame in enumerate(frames):
        _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None, "OpenCV reads what it wrote"
        out[t] = decoded
    return out


def h264(frames: NDArray[np.uint8], crf: int) -> NDArray[np.uint8]:
    """(T, H, W, 3) RGB through an H.264 encoder and decoder of low rate.

    Args:
        crf: 0 (lossless) to 51 (worst).
    """
    height, width = frames.shape[1:3]
    padded = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = padded.shape[2], padded.shape[1], "yuv420p"
    encoder.time_base = Fraction(1, 10)
    encoder.thread_count = 1
    encoder.options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoded = []
    for t, frame in enumerate([*padded, None]):
        picture = None
        if frame is not None:
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(
                format="yuv420p", threads=1
            )
            picture.pts = t
        for packet in encoder.encode(picture):
            decoded += decoder.decode(packet)
    decoded += decoder.decode(None)
    assert len(decoded) == len(frames), f"{len(decoded)} of {len(frames)} frames came back"
    return np.stack(
        [d.reformat(format="rgb24", threads=1).to_ndarray()[:height, :width] for d in decoded]
    )
