"""Pictures and recordings as a user's stream: through a session, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamavis.io.media import MediaSource
from streamavis.session import Session
from streamavis.types import SAMPLE_RATE, AudioChunk, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis.runtime.step import StepModel
    from streamavis.runtime.tracks import TrackConfig
    from streamavis.types import FrameResult

__all__ = ["STILL_FRAMES", "noise", "watch_file", "watch_still"]

_NS = 1_000_000_000
STILL_FRAMES, _STILL_FPS = 4, 10.0  # an object is reported from its second frame on
_NOISE_RMS = 0.05


def watch_still(
    model: StepModel, picture: NDArray[np.uint8], tracks: TrackConfig | None
) -> FrameResult:
    """What is said of a picture after four frames of it at 10 frames/s, in digital silence."""
    session = Session(model, stream="still", frame_period_s=1 / _STILL_FPS, tracks=tracks)
    session.hear(AudioChunk(np.zeros(2 * SAMPLE_RATE, np.float32), -_NS))
    for index in range(STILL_FRAMES):
        time_ns = round(index * _NS / _STILL_FPS)
        result = session.see(VideoFrame(picture, time_ns, index, "pts"))
    return result


def watch_file(
    model: StepModel,
    path: Path,
    fps: float,
    tracks: TrackConfig | None,
    *,
    silence: bool = False,
) -> Iterator[tuple[NDArray[np.uint8], FrameResult]]:
    """Each picture of a recording that is looked at, and what is said of it.

    Args:
        model: in evaluation mode.
        path: any file FFmpeg reads; what cannot be decoded at its end is left out.
        fps: pictures looked at per second, at most; the others are passed over.
        tracks: None: with the scores that the model was made for.
        silence: it hears digital silence in place of the recording's sound.

    Raises:
        InputError: the file cannot be read.
    """
    with MediaSource(path) as source:
        has_audio = source.info.has_audio or silence
        session = Session(model, stream=path.stem, has_audio=has_audio, tracks=tracks)
        heard, due_ns, index = 0, 0, 0
        for item in source:
            if isinstance(item, AudioChunk):
                if not silence:
                    session.hear(item)
                continue
            if not isinstance(item, VideoFrame) or item.capture_time_ns < due_ns:
                continue
            due_ns = round((int(item.capture_time_ns * fps / _NS) + 1) * _NS / fps)
            if silence:
                until = -(-item.capture_time_ns * SAMPLE_RATE // _NS) + 1
                zeros = np.zeros(max(until - heard, 0), np.float32)
                session.hear(AudioChunk(zeros, heard * _NS // SAMPLE_RATE))
                heard = max(until, heard)
            yield (
                item.image,
                session.see(VideoFrame(item.image, item.capture_time_ns, index, "pts")),
            )
            index += 1


def noise(samples: int, seed: int) -> NDArray[np.float32]:
    """(samples,) of pink or, for odd seeds, white noise at 0.05 RMS."""
    rng = np.random.default_rng([2026, seed])
    spectrum = np.fft.rfft(rng.normal(size=max(samples, 2)))
    if seed % 2 == 0:
        spectrum /= np.sqrt(np.arange(len(spectrum)) + 1)
    wave = np.fft.irfft(spectrum, max(samples, 2))[:samples]
    return (wave * _NOISE_RMS / max(float(np.sqrt(np.mean(wave**2))), 1e-9)).astype(np.float32)
