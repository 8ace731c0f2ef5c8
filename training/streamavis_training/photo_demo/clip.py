"""Two photographs, one after the other, that move their mouths as they are heard.

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
_ENVELOPE_S = 0.06
_HISS = 10 ** (-54 / 20)
# A sound's start and length, seconds.
_SPOKEN_S = ((0.8, 2.0), (3.2, 1.4))
_CALLS_S = ((5.8, 0.8), (6.9, 0.7), (8.1, 0.8))
_MUSIC_S = (10.4, 2.6)
_CUTS_S = (5.0, 9.5)  # from the person to the cat, and back


@dataclass(frozen=True)
class PhotoClip:
    """A clip that `write_movie` takes."""

    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB
    waveform: NDArray[np.float32]  # 16 kHz mono
    fps: float


@dataclass(frozen=True)
class _Photo:
    """A photograph at the clip's size, and where its mouth is."""

    picture: NDArray[np.uint8]  # (H, W, 3) RGB
    mouth: tuple[float, float]  # x, y in pixels
    reach: float  # pixels around the mouth that move
    open: float  # pixels that the lips part


def photo_clip(seed: int = 7) -> PhotoClip:
    """14 s at 640x360 and 10 frames/s: a person speaks; a cat calls; the person, and music.

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
    person = _photo("astronaut.webp", (0, 0, 512, 288), (222, 147), 26, 7)
    animal = _photo("cat.webp", (0, 46, 451, 254), (265, 272), 40, 9)
    opened, called = _envelope(voice), _envelope(cat)
    sway = rng.uniform(0, 2 * np.pi, 2)
    frames = []
    for t in range(int(_SECONDS * _FPS)):
        time_s = t / _FPS
        if _CUTS_S[0] <= time_s < _CUTS_S[1]:
            frames.append(_moved(animal, float(called[t]), time_s, sway))
        else:
            frames.append(_moved(person, float(opened[t]), time_s, sway))
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


def _photo(
    name: str, crop: tuple[int, int, int, int], mouth: tuple[int, int], reach: float, parted: float
) -> _Photo:
    """A crop (x, y, w, h) of a photograph, enlarged to the clip; `mouth` in the photograph."""
    file = resources.files("streamavis_training.photo_demo") / "pictures" / name
    decoded = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None, f"{name} comes with the package"
    x, y, width, height = crop
    part = cv2.cvtColor(decoded[y : y + height, x : x + width], cv2.COLOR_BGR2RGB)
    picture = cv2.resize(part, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    scale = _HEIGHT / height
    place = ((mouth[0] - x) * _WIDTH / width, (mouth[1] - y) * scale)
    return _Photo(np.asarray(picture, np.uint8), place, reach * scale, parted * scale)


def _moved(
    photo: _Photo, level: float, time_s: float, sway: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """The photograph with its lower lip drawn down, under a camera that is held by hand."""
    height, width = photo.picture.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = photo.mouth
    near = np.exp(-(((columns - x) / photo.reach) ** 2) - ((rows - y) / photo.reach) ** 2)
    below = 0.5 + 0.5 * np.tanh((rows - y) / 4)  # the upper lip stays
    zoom = 1.03 + 0.01 * np.sin(0.3 * time_s + sway[0])
    drift = 1.5 * np.sin(np.array([0.4, 0.5]) * time_s + sway)
    across = (columns - width / 2) / zoom + width / 2 + drift[0]
    down = (rows - height / 2) / zoom + height / 2 + drift[1] - photo.open * level * near * below
    places = across.astype(np.float32), down.astype(np.float32)
    shown = cv2.remap(photo.picture, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shown, np.uint8)
