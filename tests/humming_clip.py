"""A short file with a picture and a sound that a fake model knows: a red box that hums."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from runtime_fakes import picture

FPS, RATE = 10, 48_000


def write_humming_clip(path: Path, frames: int = 10) -> Path:
    """160x90 at 10 frames/s, stereo at 48 kHz; the box moves to the right."""
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("mpeg4", FPS)
        sound = file.add_stream("aac", RATE, layout="stereo")
        pictures.width, pictures.height, pictures.pix_fmt = 160, 90, "yuv420p"
        for n in range(frames):
            image = picture((0, 10 + 3 * n, 10, 40, 30))
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        samples = frames * RATE // FPS
        hum = 0.3 * np.sin(2 * np.pi * 220 * np.arange(samples) / RATE)
        for start in range(0, samples, 1024):
            piece = np.repeat(hum[None, start : start + 1024], 2, axis=0).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, start
            file.mux(sound.encode(frame))
        file.mux(pictures.encode(None))
        file.mux(sound.encode(None))
    return path
