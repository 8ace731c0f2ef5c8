"""A small clip and a small network on disk, for commands that need both."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import torch

from streamavis import checkpoint
from streamavis.model import StreamAVIS, StreamAVISConfig

FRAMES, FPS, RATE = 12, 10, 16_000
WIDTH, HEIGHT = 96, 64


def write_network(path: Path) -> Path:
    """A random network: it runs as a trained one does and sees nothing."""
    config = StreamAVISConfig(
        classes=("bell", "drum"),
        short_side=64,
        channels=32,
        mask_channels=16,
        identity_channels=8,
        heads=4,
        hidden=32,
        frame_queries=4,
        slots=3,
        pixel_layers=1,
        points=2,
        fusion_points=2,
        frame_layers=1,
        object_layers=1,
        video_layers=1,
        window=2,
        sinks=1,
    )
    torch.manual_seed(3)
    checkpoint.save(StreamAVIS(config), path)
    return path


def write_clip(path: Path, *, sound: bool = True, picture: bool = True) -> Path:
    """1.2 s of a moving square with a tone."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", FPS, options={"bf": "0"}) if picture else None
        audio = file.add_stream("aac", RATE, layout="mono") if sound else None
        if video:
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for n in range(FRAMES):
            if audio:
                time_s = np.arange(n * RATE // FPS, (n + 1) * RATE // FPS) / RATE
                tone = np.float32(0.3 * np.sin(2 * np.pi * 440 * time_s))
                chunk = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
                chunk.sample_rate, chunk.pts = RATE, n * RATE // FPS
                file.mux(audio.encode(chunk))
            if video:
                image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
                image[20:44, 6 * n : 6 * n + 24] = (220, 40, 40)
                file.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        for stream in filter(None, (audio, video)):
            file.mux(stream.encode(None))
    return path


def write_wav(path: Path) -> Path:
    """A second of silence."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(2 * RATE))
    return path


def count_frames(path: Path) -> tuple[int, int]:
    """Pictures and sound samples that can be decoded."""
    with av.open(str(path)) as file:
        pictures = samples = 0
        for frame in file.decode():
            if isinstance(frame, av.VideoFrame):
                pictures += 1
            else:
                samples += frame.samples
    return pictures, samples
