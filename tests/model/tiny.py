"""A StreamAVIS small enough for a law to be tried many times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from streamavis.model import StreamAVIS, StreamAVISConfig

CONFIG = StreamAVISConfig(
    classes=("bell", "drum", "bird"),
    channels=32,
    mask_channels=16,
    identity_channels=8,
    heads=4,
    hidden=32,
    pixel_hidden=32,
    audio_channels=32,
    frame_queries=4,
    slots=3,
    pixel_layers=1,
    points=2,
    fusion_points=2,
    frame_layers=2,
    object_layers=2,
    video_layers=2,
    window=3,
    sinks=2,
    memory_stride_s=0.5,
)


def network(seed: int = 0, **changes: float) -> StreamAVIS:
    """A random network whose memory, gates and age bias all have a say."""
    torch.manual_seed(seed)
    model = StreamAVIS(replace(CONFIG, **changes)).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if name.endswith(("age_bias", "sink_values", "log_gap", "level_embed")):
            weight.normal_(std=0.5)
    return model


@dataclass
class Clip:
    frames: Tensor  # (B, T, 3, H, W)
    audio: Tensor  # (B, T, 15360)
    times_s: Tensor  # (B, T)
    active: Tensor  # (B, T)
    reset: Tensor  # (B, T)


def clip(
    seed: int, streams: int, steps: int, *, pause: float = 0.0, forget: float = 0.0, size: int = 64
) -> Clip:
    rng = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng)

    gaps = 0.03 + 0.6 * uniform(streams, steps).double()
    return Clip(
        frames=(uniform(streams, steps, 3, size, size + 16) * 255).to(torch.uint8),
        audio=uniform(streams, steps, 15_360) - 0.5,
        times_s=gaps.cumsum(1),
        active=uniform(streams, steps) >= pause,
        reset=uniform(streams, steps) < forget,
    )
