"""Two photographs side by side; the one that is heard moves its mouth.

T frames, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.types import SAMPLE_RATE
from streamavis_training.photo_demo.voices import guitar, meow, speech

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLIP_VERSION", "PhotoClip", "photo_clip"]

CLIP_VERSION = 1  # in the file's name: a clip that was made before is made anew
_FPS = 10.0
_SECONDS = 14.0
_HEIGHT, _WIDTH = 360, 640
_MARGIN = 8  # pixels around a panel
_ENVELOPE_S = 0.06
_HISS = 10 ** (-54 / 20)
# Second at which a sound begins, and who makes it; None: nobody in view.
_SPOKEN_S = ((0.8, 2.6), (7.4, 2.2))
_CALLS_S = ((4.2, 0.8), (5.2, 0.7), (6.1, 0.8), (7.9, 0.7), (8.9, 0.8))
_MUSIC_S = (10.6, 2.2)


@dataclass(frozen=True)
class PhotoClip:
    """A clip that `write_movie` takes."""

    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB
    waveform: NDArray[np.float32]  # 16 kHz mono
    fps: float


@dataclass(frozen=True)
class _Panel:
    """A photograph, and where its mouth is."""

    picture: NDArray[np.uint8]  # (h, w, 3) RGB, larger than its place by the camera's reach
    mouth: tuple[float, float]  # x, y in pixels
    reach: float  # pixels around the mouth that move
    open: float  # pixels that the lips part


def photo_clip(seed: int = 7) -> PhotoClip:
    """14 s at 640x360 and 10 frames/s: a person speaks, a cat calls, both, then music off screen.

    Args:
        seed: of the voices and the camera's sway.
    """
    rng = np.random.default_rng(seed)
    voice, cat, music = np.zeros((3, int(_SECONDS * SAMPLE_RATE)))
    for start_s, seconds in _SPOKEN_S:
        _add(voice, start_s, 0.5 * speech(seconds, 205.0, rng))
    for start_s, seconds in _CALLS_S:
        _add(cat, start_s, 0.45 * meow(seconds, rng))
    _add(music, _MUSIC_S[0], 0.4 * guitar(_MUSIC_S[1], rng))
    waveform = voice + cat + music + _HISS * rng.standard_normal(len(voice))
    panels = (
        _panel("astronaut.webp", (30, 0, 372, 410), (222, 147), 26, 7),
        _panel("cat.webp", (70, 0, 272, 300), (265, 272), 40, 9),
    )
    levels = [_envelope(sound) for sound in (voice, cat)]
    sway = rng.uniform(0, 2 * np.pi, (2, 2))
    frames = [
        _frame(t / _FPS, panels, [float(level[t]) for level in levels], sway)
        for t in range(int(_SECONDS * _FPS))
    ]
    return PhotoClip(np.stack(frames), np.clip(waveform, -1, 1).astype(np.float32), _FPS)


def _add(track: NDArray[np.float64], start_s: float, sound: NDArray[np.float64]) -> None:
    at = int(start_s * SAMPLE_RATE)
    track[at : at + len(sound)] += sound


def _envelope(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) loudness at each frame, 0..1."""
    window = int(_ENVELOPE_S * SAMPLE_RATE)
    power = np.convolve(sound**2, np.ones(window) / window, "same")
    at = (np.arange(int(_SECONDS * _FPS)) / _FPS * SAMPLE_RATE).astype(int)
    level = np.sqrt(power[at])
    return np.minimum(level / max(float(level.max()) * 0.7, 1e-9), 1)


def _panel(
    name: str, crop: tuple[int, int, int, int], mouth: tuple[int, int], reach: float, parted: float
) -> _Panel:
    """A crop (x, y, w, h) of a photograph, enlarged to its panel; `mouth` in the photograph."""
    file = resources.files("streamavis_training.photo_demo") / "pictures" / name
    decoded = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None, f"{name} comes with the package"
    x, y, width, height = crop
    scale = (_HEIGHT - 2 * _MARGIN) / height
    part = cv2.cvtColor(decoded[y : y + height, x : x + width], cv2.COLOR_BGR2RGB)
    size = (_WIDTH // 2 - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN)
    picture = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    across = size[0] / width
    return _Panel(
        np.asarray(picture, np.uint8),
        ((mouth[0] - x) * across, (mouth[1] - y) * scale),
        reach * scale,
        parted * scale,
    )


def _frame(
    time_s: float,
    panels: tuple[_Panel, ...],
    levels: list[float],
    sway: NDArray[np.float64],
) -> NDArray[np.uint8]:
    frame = np.full((_HEIGHT, _WIDTH, 3), 24, np.uint8)
    for i, (panel, level) in enumerate(zip(panels, levels, strict=True)):
        shown = _moved(panel, level, time_s, sway[i])
        height, width = shown.shape[:2]
        left = _MARGIN + i * (_WIDTH // 2)
        frame[_MARGIN : _MARGIN + height, left : left + width] = shown
    return frame


def _moved(
    panel: _Panel, level: float, time_s: float, sway: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """The photograph with its lower lip drawn down, under a camera that is held by hand."""
    height, width = panel.picture.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = panel.mouth
    near = np.exp(-(((columns - x) / panel.reach) ** 2) - ((rows - y) / panel.reach) ** 2)
    below = 0.5 + 0.5 * np.tanh((rows - y) / 4)  # the upper lip stays
    zoom = 1.03 + 0.01 * np.sin(0.3 * time_s + sway[0])
    drift = 1.5 * np.sin(np.array([0.4, 0.5]) * time_s + sway)
    across = (columns - width / 2) / zoom + width / 2 + drift[0]
    down = (rows - height / 2) / zoom + height / 2 + drift[1] - panel.open * level * near * below
    places = across.astype(np.float32), down.astype(np.float32)
    shown = cv2.remap(panel.picture, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shown, np.uint8)
