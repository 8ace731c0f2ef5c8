"""A StreamAVIS small enough for a law to be tried many times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from streamavis.model import StreamAVIS, StreamAVISConfig
from streamavis.model.efficientnet import EfficientNetLiteConfig
from streamavis.model.swin import SwinConfig

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

# Every kind of network there is: what holds for one must hold for all.
KINDS: dict[str, dict[str, object]] = {
    "deformable": {},
    "efficientnet": {"backbone": EfficientNetLiteConfig(), "pixel_decoder": "hybrid"},
    "dense": {"fusion": "dense"},
    "vggish": {"audio": "vggish", "audio_channels": 128},  # takes ready features
    "deaf": {"audio": "none"},
    "avism": {
        "backbone": SwinConfig(16, (1, 1, 1, 2), (1, 2, 2, 4), window=4),
        "pixel_decoder": "msdeform",
        "mask_channels": 32,
        "identity_channels": 0,
        "audio": "vggish",
        "audio_channels": 128,
        "fusion": "dense",
        "look": False,
        "slot_start": "learned",
        "sounding": "found",
    },
    "acvis": {"fusion": "audio-centric", "count_levels": 2, "sounding": "found"},
    "previous slots": {"slot_start": "previous"},
}


def hears_features(config: StreamAVISConfig) -> bool:
    return config.audio == "vggish" and config.vggish == "absent"


def network(seed: int = 0, kind: str = "deformable", **changes: object) -> StreamAVIS:
    """A random network whose memory, gates and age bias all have a say."""
    torch.manual_seed(seed)
    config = replace(CONFIG, **KINDS[kind] | changes)
    model = StreamAVIS(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if name.endswith(("age_bias", "sink_values", "log_gap", "level_embed")):
            weight.normal_(std=0.5)
    return model


@dataclass
class Clip:
    frames: Tensor  # (B, T, 3, H, W)
    audio: Tensor  # (B, T, 15360) or ready features (B, T, 128)
    times_s: Tensor  # (B, T)
    active: Tensor  # (B, T)
    reset: Tensor  # (B, T)


def clip(
    seed: int,
    streams: int,
    steps: int,
    *,
    pause: float = 0.0,
    forget: float = 0.0,
    size: int = 64,
    features: bool = False,
) -> Clip:
    rng = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng)

    gaps = 0.03 + 0.6 * uniform(streams, steps).double()
    return Clip(
        frames=(uniform(streams, steps, 3, size, size + 16) * 255).to(torch.uint8),
        audio=uniform(streams, steps, 128 if features else 15_360) - 0.5,
        times_s=gaps.cumsum(1),
        active=uniform(streams, steps) >= pause,
        reset=uniform(streams, steps) < forget,
    )
