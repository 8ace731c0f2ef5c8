"""AVISM, the offline network (Guo et al., CVPR 2025): it sees and hears a whole clip at once.

B clips, T frames, Q frame queries, V video queries, C channels, A audio channels, K classes,
H W pixels. What the published code computes, to the rounding of float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from streamavis.audio.causal import CausalAudioEncoder
from streamavis.errors import ArgumentError, ShapeError
from streamavis.layers import MLP
from streamavis.model import backbones
from streamavis.model.backbones import normalise
from streamavis.model.localizer import FrameFusion, Localized, Localizer
from streamavis.model.msdeform import MSDeformPixelDecoder
from streamavis.model.network import Network
from streamavis.model.object_decoder import ObjectDecoder
from streamavis.model.resnet import resnet50, resnet101
from streamavis.model.swin import swin_large
from streamavis.model.window_encoder import WindowedObjectEncoder
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES

if TYPE_CHECKING:
    from streamavis.model.frame_decoder import FramePrediction
    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = [
    "AVISEG_CLASSES",
    "AVISM",
    "AVISMConfig",
    "AVISMOutput",
    "ClipPrediction",
    "Lesson",
    "avism_r50",
    "avism_r101",
    "avism_swin_l",
]

AVISEG_CLASSES = (
    *("person", "violin", "guitar", "cello", "flute", "piano", "ukulele", "accordion", "guzheng"),
    *("clarinet", "cat", "car", "saxophone", "dog", "lawn_mover", "tuba", "banjo", "pipa"),
    *("bassoon", "airplane", "tree_harvester", "trumpet", "lion", "bass", "erhu", "horse"),
)

# "vggish": VGGish's features, made elsewhere; "causal": an encoder of the network's own.
OfflineAudio = Literal["vggish", "causal"]
_WINDOWS_AT_ONCE = 64  # put through the audio encoder

# Frame layers whose queries the tracker is trained on.
_TAUGHT_LAYERS = 3


@dataclass(frozen=True)
class AVISMConfig:
    """Shape of an AVISM network; the defaults are the paper's with ResNet-50."""

    classes: tuple[str, ...] = AVISEG_CLASSES
    backbone: backbones.BackboneConfig = field(default_factory=resnet50)
    short_side: int = 360  # pixels, of the frames the network is given
    channels: int = 256
    audio_channels: int = 128
    heads: int = 8
    hidden: int = 2048  # width of the feed-forward blocks
    pixel_layers: int = 6
    pixel_hidden: int = 1024  # the same in the pixel decoder
    points: int = 4  # sampled per head and level
    frame_queries: int = 100
    frame_layers: int = 9
    frame_fusion: FrameFusion = "dense"  # "none" and `video_fusion` off: VITA-like (Table 4)
    count_levels: int = 0  # ACVIS: 2 tell 0, 1, more sounding objects apart; 0 = no count token
    object_layers: int = 6
    window: int = 6  # frames (Table 5: 3, 6, 12)
    video_fusion: bool = True
    video_queries: int = 100
    video_layers: int = 3
    audio: OfflineAudio = "vggish"

    def __post_init__(self) -> None:
        if self.audio not in get_args(OfflineAudio):
            raise ArgumentError(
                f"audio is {self.audio!r}, expected one of {get_args(OfflineAudio)}"
            )


def avism_r50(classes: tuple[str, ...] = AVISEG_CLASSES) -> AVISMConfig:
    """AVISM with ResNet-50."""
    return AVISMConfig(classes)


def avism_r101(classes: tuple[str, ...] = AVISEG_CLASSES) -> AVISMConfig:
    """AVISM with ResNet-101."""
    return AVISMConfig(classes, backbone=resnet101())


def avism_swin_l(classes: tuple[str, ...] = AVISEG_CLASSES) -> AVISMConfig:
    """AVISM with Swin-L: 200 frame queries, larger frames."""
    return AVISMConfig(classes, backbone=swin_large(), short_side=448, frame_queries=200)


@dataclass
class ClipPrediction:
    """What the video queries say of a clip."""

    class_logits: Tensor  # (B, V, K+1), last = no object
    mask_embed: Tensor  # (B, V, C)
    similarity: Tensor  # (B, V, C), compared with that of object tokens in training


@dataclass
class AVISMOutput(ClipPrediction):
    """A clip, seen and heard; without the batch dimension where the frames had none."""

    video_mask_features: Tensor  # (B, T, C, H4, W4)
    video_queries: Tensor  # (B, V, C), normalised
    frame_queries: Tensor  # (B, T, Q, C), normalised
    frame_class_logits: Tensor  # (B, T, Q, K+1)
    frame_mask_logits: Tensor  # (B, T, Q, H4, W4)
    count_logits: Tensor | None  # (B, T, levels); None without a count token

    @property
    def mask_logits(self) -> Tensor:
        """(B, V, T, H4, W4), of the padded frames; computed on every access."""
        return torch.einsum("...vc,...tchw->...vthw", self.mask_embed, self.video_mask_features)


@dataclass
class Lesson:
    """Everything the losses are taken on; L = 3 frame layers, in the first dimension."""

    frame_predictions: list[FramePrediction]  # (B*T, ...) before the first and after each layer
    clip_predictions: list[ClipPrediction]  # (L, B, V, ...) after each layer of the object decoder
    token_similarity: Tensor  # (L, B, T, Q, C), of the object tokens
    video_mask_features: Tensor  # (B, T, C, H4, W4)
    count_logits: Tensor | None  # (B, T, levels)


class AVISM(Network):
    """The offline network."""

    def __init__(self, config: AVISMConfig) -> None:
        super().__init__()
        self.config = config
        c, classes = config, len(config.classes)
        self.backbone = backbones.build(c.backbone)
        self.audio_encoder = (
            CausalAudioEncoder(c.audio_channels, classes) if c.audio == "causal" else None
        )
        self.pixel_decoder = MSDeformPixelDecoder(
            tuple(c.backbone.channels),
            c.channels,
            layers=c.pixel_layers,
            heads=c.heads,
            points=c.points,
            hidden=c.pixel_hidden,
        )
        self.localizer = Localizer(
            c.channels,
            classes,
            audio_channels=c.audio_channels,
            queries=c.frame_queries,
            layers=c.frame_layers,
            heads=c.heads,
            levels=len(c.backbone.channels) - 1,
            hidden=c.hidden,
            fusion=c.frame_fusion,
            count_levels=c.count_levels,
        )
        self.video_mask_features = nn.Conv2d(c.channels, c.channels, 1)
        self.object_encoder = WindowedObjectEncoder(
            c.channels,
            c.audio_channels,
            layers=c.object_layers,
            heads=c.heads,
            hidden=c.hidden,
            window=c.window,
            fusion=c.video_fusion,
        )
        self.object_decoder = ObjectDecoder(
            c.channels,
            video_queries=c.video_queries,
            frame_queries=c.frame_queries,
            layers=c.video_layers,
            heads=c.heads,
            hidden=c.hidden,
        )
        self.class_embed = nn.Linear(c.channels, classes + 1)
        self.mask_embed = MLP(c.channels, c.channels, c.channels, 3)
        self.query_similarity = nn.Linear(c.channels, c.channels)
        self.token_similarity = nn.Linear(c.channels, c.channels)

    def forward(self, frames: Tensor, audio_features: Tensor) -> AVISMOutput:
        """See and hear one clip, or a batch of clips of one length.

        Args:
            frames: (T, 3, H, W) or (B, T, 3, H, W) uint8 RGB at network size, a second apart.
            audio_features: (T, A) or (B, T, A) float, of the second that begins at each frame
                (`streamavis.audio.vggish`).

        Raises:
            ShapeError: an argument has the wrong shape or dtype.
        """
        self.check(frames, audio_features)
        batched = frames.ndim == 5
        if not batched:
            frames, audio_features = frames[None], audio_features[None]
        shape = frames.shape[:2]
        features, found = self.locate(frames.flatten(0, 1), audio_features.flatten(0, 1))
        frame_queries = self.localizer.norm(found.queries[-1]).unflatten(0, shape)
        video = self.track(frame_queries, audio_features)
        last = found.predictions[-1]
        output = AVISMOutput(
            **vars(self.read(video)),
            video_mask_features=self.video_mask_features(features.stride4).unflatten(0, shape),
            video_queries=video,
            frame_queries=frame_queries,
            frame_class_logits=last.class_logits.unflatten(0, shape),
            frame_mask_logits=last.mask_logits.unflatten(0, shape),
            count_logits=_unflatten(found.count_logits, shape),
        )
        if batched:
            return output
        only: dict[str, Any] = {
            name: None if value is None else value[0] for name, value in vars(output).items()
        }
        return AVISMOutput(**only)

    def hear(self, windows: Tensor, times_s: Tensor) -> Tensor:
        """Audio features from a network with an audio encoder of its own.

        Args:
            windows: (N, 15360), 0.96 s of 16 kHz mono in [-1, 1] each; all zeros where there is
                no sound.
            times_s: (N,) float64, when each window ends.

        Returns:
            (N, A); zeros for windows without sound.

        Raises:
            ShapeError: the windows have another shape, or this network has no audio encoder.
        """
        if self.audio_encoder is None:
            raise ShapeError(
                "this network takes VGGish's features and has no audio encoder; make them with "
                "streamavis.audio.vggish"
            )
        return self.audio_encoder(windows, times_s).tokens * windows.any(1, keepdim=True)

    def hear_recording(self, waveform: Tensor, ends_s: Tensor) -> Tensor:
        """Audio features of a recording.

        Args:
            waveform: (samples,) 16 kHz mono in [-1, 1].
            ends_s: (T,) float64, seconds from the start of the recording at which each row's
                0.96 s window ends. AVISeg's row i ends at i + 0.96.

        Returns:
            (T, A). A window is filled with zeros where it is outside the recording.
        """
        ends = (ends_s * SAMPLE_RATE).round().long()
        after = max(int(ends.max()) - len(waveform), 0) if len(ends) else 0
        padded = nn.functional.pad(waveform, (WINDOW_SAMPLES, after))
        features = [waveform.new_zeros(0, self.config.audio_channels)]
        for part in ends.split(_WINDOWS_AT_ONCE):
            windows = torch.stack([padded[end:][:WINDOW_SAMPLES] for end in part.tolist()])
            # Every window ends on a complete hop.
            at_s = torch.zeros(len(part), dtype=torch.float64, device=waveform.device)
            features.append(self.hear(windows, at_s))
        return torch.cat(features)

    def supervised(self, frames: Tensor, audio_features: Tensor, *, shift: bool = True) -> Lesson:
        """As `forward` on (B, T, ...), keeping everything that the losses look at.

        Args:
            frames, audio_features: see `forward`.
            shift: shift windows in the object encoder, as inference does. The published code
                does not in training.
        """
        self.check(frames, audio_features)
        shape = frames.shape[:2]
        features, found = self.locate(frames.flatten(0, 1), audio_features.flatten(0, 1), keep=None)
        layers = found.queries[-_TAUGHT_LAYERS:]
        queries = torch.stack([self.localizer.norm(x) for x in layers])  # (L, B*T, Q, C)
        tokens = self.object_encoder(
            queries.unflatten(1, shape).flatten(0, 1),
            audio_features.repeat(len(layers), 1, 1),
            shift=shift,
        )
        split = (len(layers), shape[0])
        predictions = [self.read(video) for video in self.object_decoder(tokens)]
        return Lesson(
            frame_predictions=found.predictions,
            clip_predictions=[
                ClipPrediction(*(getattr(p, f.name).unflatten(0, split) for f in fields(p)))
                for p in predictions
            ],
            token_similarity=self.token_similarity(tokens).unflatten(0, split),
            video_mask_features=self.video_mask_features(features.stride4).unflatten(0, shape),
            count_logits=_unflatten(found.count_logits, shape),
        )

    def locate(
        self, frames: Tensor, audio_features: Tensor, *, keep: int | None = 1
    ) -> tuple[PixelFeatures, Localized]:
        """Find the objects of N frames, (N, 3, H, W) uint8 and (N, A); nothing crosses frames.

        Args:
            frames, audio_features: see above.
            keep: layers of the localizer whose result is wanted, from the last. None: all.
        """
        features = self.pixel_decoder(self.backbone(normalise(frames)))
        layers = self.config.frame_layers + 1 if keep is None else keep
        return features, self.localizer(features, audio_features, keep=layers)

    def track(self, frame_queries: Tensor, audio_features: Tensor) -> Tensor:
        """(B, T, Q, C) normalised and (B, T, A) -> video queries (B, V, C), normalised."""
        tokens = self.object_encoder(frame_queries, audio_features, shift=True)
        return self.object_decoder(tokens)[-1]

    def read(self, video_queries: Tensor) -> ClipPrediction:
        """Heads on video queries."""
        return ClipPrediction(
            class_logits=self.class_embed(video_queries),
            mask_embed=self.mask_embed(video_queries),
            similarity=self.query_similarity(video_queries),
        )

    def check(self, frames: Tensor, audio_features: Tensor) -> None:
        """Refuse what `forward` cannot take.

        Raises:
            ShapeError: names the argument, what it is and what it should be.
        """
        if frames.ndim not in (4, 5) or frames.shape[-3] != 3 or frames.dtype != torch.uint8:
            raise ShapeError(
                "frames must be uint8 RGB, (T, 3, H, W) or (B, T, 3, H, W), but got "
                f"{frames.dtype} {tuple(frames.shape)}"
            )
        expected = (*frames.shape[:-3], self.config.audio_channels)
        if audio_features.shape != expected or not audio_features.is_floating_point():
            raise ShapeError(
                f"audio_features must be float {expected}, one row per frame, but got "
                f"{audio_features.dtype} {tuple(audio_features.shape)}"
            )
        if 0 in frames.shape:
            raise ShapeError(f"frames must hold at least one pixel but got {tuple(frames.shape)}")


def _unflatten(x: Tensor | None, shape: torch.Size) -> Tensor | None:
    return None if x is None else x.unflatten(0, shape)
