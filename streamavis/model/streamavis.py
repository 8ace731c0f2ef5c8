"""StreamAVIS, the causal network: one frame and the sound up to that frame at a time.

B streams, T frames, Q frame queries, V video queries (slots), C channels, K classes, H W pixels.
The module holds weights only; the past lives in `ModelState`. `step` takes one frame and advances
the state in place; `forward` takes a clip, for training, and equals that many steps.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from streamavis.audio.causal import AudioFeatures, CausalAudioEncoder
from streamavis.errors import ShapeError, StreamStateError
from streamavis.model.backbone import NanoBackbone, normalise
from streamavis.model.frame_decoder import FrameDecoder, FramePrediction
from streamavis.model.heads import IdentityHead, SlotHeads, SoundingHead
from streamavis.model.memory import Counters, MemoryPlan, MemoryRules, Ring, plan_clip
from streamavis.model.object_encoder import ObjectEncoder
from streamavis.model.pixel_decoder import PixelDecoder, PixelFeatures
from streamavis.model.state import ModelState
from streamavis.model.video_decoder import VideoDecoder
from streamavis.types import WINDOW_SAMPLES

__all__ = ["ClipOutput", "StepOutput", "StreamAVIS", "StreamAVISConfig", "nano"]


@dataclass(frozen=True)
class StreamAVISConfig:
    """Shape and memory of a StreamAVIS network."""

    classes: tuple[str, ...]
    short_side: int = 192  # pixels, of the frames the network is given
    channels: int = 128
    mask_channels: int = 64
    identity_channels: int = 64
    heads: int = 8
    hidden: int = 256  # width of the feed-forward blocks
    frame_queries: int = 24
    slots: int = 24
    pixel_layers: int = 3
    points: int = 4  # sampled per head and level in the pixel decoder
    fusion_points: int = 8  # likewise where sound steers the queries
    frame_layers: int = 3
    object_layers: int = 2
    audio_layers: int = 1
    video_layers: int = 3
    window: int = 6  # remembered frames
    sinks: int = 4
    memory_stride_s: float = 1.0  # seconds between remembered frames
    pin_first: int = 0  # remembered frames kept for ever, besides the window
    carry: float = 1.0  # scale of a slot's carried query at the start of training; 0 = as AVISM

    @property
    def memory(self) -> MemoryRules:
        return MemoryRules(self.window, self.sinks, self.memory_stride_s, self.pin_first)


def nano(classes: tuple[str, ...]) -> StreamAVISConfig:
    """The small network for CPUs and small boards: short side 192, under 4 M parameters."""
    return StreamAVISConfig(classes=classes)


@dataclass
class StepOutput:
    """What the network says of one frame of each stream."""

    class_logits: Tensor  # (B, V, K+1), last = no object
    mask_logits: Tensor  # (B, V, H4, W4), of the padded frame
    mask_embed: Tensor  # (B, V, mask channels)
    sounding_logits: Tensor  # (B, V)
    visible_logits: Tensor | None  # (B, V); None where the network was not taught it
    identity: Tensor  # (B, V, identity channels), not normalised
    count_logits: Tensor  # (B, 2): more than 0 sound; more than 1, given more than 0
    heard_logits: Tensor  # (B, K): is a sound of the class in the air, on or off screen
    frame_queries: Tensor  # (B, Q, C)
    frame_class_logits: Tensor  # (B, Q, K+1)
    frame_mask_logits: Tensor  # (B, Q, H4, W4)


@dataclass
class ClipOutput(StepOutput):
    """`StepOutput` of T frames: every field has (B, T, ...) in place of (B, ...)."""

    frame_predictions: list[FramePrediction]  # (B*T, ...) before and after each frame layer
    pose_level: Tensor  # (B, T, V): the object's momentary level by sight alone, 0..1
    pose_map: Tensor  # (B, T, H4, W4): the same of whatever object each cell belongs to
    heard_level: Tensor  # (B, T, K): the momentary loudness of each class by ear alone, 0..1
    state: ModelState  # after the clip, detached


class StreamAVIS(nn.Module):
    """The causal network."""

    def __init__(self, config: StreamAVISConfig) -> None:
        super().__init__()
        self.config = config
        c, classes, rules = config, len(config.classes), config.memory
        self.backbone = NanoBackbone()
        self.pixel_decoder = PixelDecoder(
            self.backbone.channels,
            c.channels,
            c.mask_channels,
            layers=c.pixel_layers,
            heads=c.heads,
            points=c.points,
            hidden=c.hidden,
        )
        self.audio_encoder = CausalAudioEncoder(c.channels, classes)
        self.frame_decoder = FrameDecoder(
            c.channels,
            c.mask_channels,
            classes,
            queries=c.frame_queries,
            layers=c.frame_layers,
            heads=c.heads,
            levels=3,
            fusion_points=c.fusion_points,
            hidden=c.hidden,
        )
        self.object_encoder = ObjectEncoder(
            c.channels,
            layers=c.object_layers,
            audio_layers=c.audio_layers,
            heads=c.heads,
            hidden=c.hidden,
            rules=rules,
        )
        self.video_decoder = VideoDecoder(
            c.channels,
            slots=c.slots,
            frame_queries=c.frame_queries,
            layers=c.video_layers,
            heads=c.heads,
            hidden=c.hidden,
            rules=rules,
            carry=c.carry,
        )
        self.video_mask_features = nn.Conv2d(c.mask_channels, c.mask_channels, 1)
        self.heads = SlotHeads(c.channels, c.mask_channels, classes)
        self.sounding = SoundingHead(c.channels, c.mask_channels, classes)
        self.identity = IdentityHead(c.channels, c.identity_channels)

    def init_state(self, streams: int) -> ModelState:
        """Allocate the past of `streams` streams that have seen nothing yet."""
        if streams < 1:
            raise StreamStateError(f"init_state needs at least 1 stream but got {streams}")
        c, like = self.config, self.video_decoder.query_feat

        def zeros(*shape: int) -> Tensor:
            return like.new_zeros(streams, *shape)

        def rings(count: int) -> list[Ring]:
            shape = (c.memory.places, c.frame_queries, c.channels)
            return [Ring(zeros(*shape), zeros(*shape)) for _ in range(count)]

        return ModelState(
            object_rings=rings(c.object_layers + c.audio_layers),
            video_rings=rings(c.video_layers),
            slots=zeros(c.slots, c.channels),
            evidence=zeros(c.slots, c.channels),
            counters=Counters.fresh(streams, like.device),
        )

    def step(
        self,
        frames: Tensor,
        audio: Tensor,
        state: ModelState,
        *,
        times_s: Tensor,
        active: Tensor | None = None,
    ) -> StepOutput:
        """See and hear one frame of each stream.

        Args:
            frames: (B, 3, H, W) uint8 RGB at network size.
            audio: (B, 15360), the 0.96 s of 16 kHz samples that end at `times_s`.
            state: the streams' past, advanced in place.
            times_s: (B,) float64, seconds of stream time, rising.
            active: (B,) bool; streams where it is False are left as they were and their output
                means nothing. Default: all.

        Raises:
            ShapeError: an argument has the wrong shape or dtype.
            StreamStateError: `state` was allocated for another batch size.
        """
        active = self._check(frames[:, None], audio[:, None], times_s[:, None], active, state)
        reset = torch.zeros_like(active)
        clip = self._run(frames[:, None], audio[:, None], times_s[:, None], active, reset, state)
        return StepOutput(*(getattr(clip, f.name)[:, 0] for f in fields(StepOutput)))

    def forward(
        self,
        frames: Tensor,
        audio: Tensor,
        times_s: Tensor,
        *,
        active: Tensor | None = None,
        reset: Tensor | None = None,
        state: ModelState | None = None,
    ) -> ClipOutput:
        """See and hear a clip of each stream, for training; equals T times `step`.

        Args:
            frames: (B, T, 3, H, W) uint8 RGB; audio: (B, T, 15360); times_s: (B, T) float64.
            active: (B, T) bool, False = the stream pauses. Default: all active.
            reset: (B, T) bool, True = forget everything before this frame. Default: none.
            state: carried in, not changed and without gradient. Default: nothing seen yet.

        Raises:
            ShapeError, StreamStateError: as `step`.
        """
        past = self.init_state(frames.shape[0]) if state is None else state.clone()
        active = self._check(frames, audio, times_s, active, past)
        reset = torch.zeros_like(active) if reset is None else reset
        return self._run(frames, audio, times_s, active, reset, past)

    def _check(
        self,
        frames: Tensor,
        audio: Tensor,
        times_s: Tensor,
        active: Tensor | None,
        state: ModelState,
    ) -> Tensor:
        if frames.ndim != 5 or frames.shape[2] != 3 or frames.dtype != torch.uint8:
            raise ShapeError(
                "frames must be uint8 RGB, (B, 3, H, W) for step or (B, T, 3, H, W) for forward, "
                f"but got {frames.dtype} with {frames.ndim} dimensions {tuple(frames.shape)}"
            )
        shape = frames.shape[:2]
        if audio.shape != (*shape, WINDOW_SAMPLES):
            raise ShapeError(
                f"audio must hold {WINDOW_SAMPLES} samples per frame, {(*shape, WINDOW_SAMPLES)}, "
                f"but got {tuple(audio.shape)}"
            )
        if times_s.shape != shape or times_s.dtype != torch.float64:
            raise ShapeError(
                f"times_s must be float64 seconds {tuple(shape)} but got {times_s.dtype} "
                f"{tuple(times_s.shape)}; float32 loses milliseconds within days"
            )
        if state.streams != shape[0]:
            raise StreamStateError(
                f"state holds {state.streams} streams but frames has batch {shape[0]} (shape "
                f"{tuple(frames.shape)}); allocate a matching state with "
                f"model.init_state({shape[0]})"
            )
        if active is None:
            return torch.ones(shape, dtype=torch.bool, device=frames.device)
        return active.view(shape)

    def see(self, frames: Tensor) -> PixelFeatures:
        """(N, 3, H, W) uint8 -> features; no sound, no past."""
        return self.pixel_decoder(self.backbone(normalise(frames)))

    def _run(
        self,
        frames: Tensor,
        audio: Tensor,
        times_s: Tensor,
        active: Tensor,
        reset: Tensor,
        state: ModelState,
    ) -> ClipOutput:
        """Both ways in; advances `state` in place."""
        batch, steps = times_s.shape
        shape = (batch, steps)
        features = self.see(frames.flatten(0, 1))
        heard = self.audio_encoder(audio.flatten(0, 1), times_s.flatten())
        queries, predictions = self.frame_decoder(features, heard.tokens)
        heard = AudioFeatures(
            heard.tokens.view(*shape, -1),
            heard.heard_logits.view(*shape, -1),
            heard.heard_level.view(*shape, -1),
        )
        queries = queries.unflatten(0, shape)
        plan = plan_clip(self.config.memory, state.counters, times_s, active, reset)
        objects = self.object_encoder(queries, heard.tokens, plan, state.object_rings)
        video, slots = self.video_decoder(objects, plan, state.video_rings, state.slots)
        output = self._read_slots(video, features, heard, plan, state, queries, predictions)
        state.slots.copy_(slots.detach())
        for kept, new in zip(state.counters.tensors(), plan.counters.tensors(), strict=True):
            kept.copy_(new)
        return output

    def _read_slots(
        self,
        video: Tensor,
        features: PixelFeatures,
        heard: AudioFeatures,
        plan: MemoryPlan,
        state: ModelState,
        frame_queries: Tensor,
        predictions: list[FramePrediction],
    ) -> ClipOutput:
        shape = (video.shape[0], video.shape[1])
        mask_embed = self.heads.mask_embed(video)
        mask_features = self.video_mask_features(features.stride4)
        masks = torch.einsum("nvd,ndhw->nvhw", mask_embed.flatten(0, 1), mask_features)
        class_logits = self.heads.class_embed(video.flatten(0, 1), masks, features.stride8)
        class_logits = class_logits.unflatten(0, shape)
        pose = self.sounding.pose(masks, features.stride4, shape)
        cues, match = self.sounding.cues(video, class_logits, pose, heard)
        sounding, evidence = self.sounding(cues, match, state.evidence, plan.fresh, plan.active)
        state.evidence.copy_(evidence.detach())
        return ClipOutput(
            class_logits=class_logits,
            mask_logits=masks.unflatten(0, shape),
            mask_embed=mask_embed,
            sounding_logits=sounding,
            visible_logits=self.heads.visible(video)[..., 0],
            identity=self.identity(masks, features).unflatten(0, shape),
            count_logits=self.heads.count_logits(video, heard.tokens),
            heard_logits=heard.heard_logits,
            frame_queries=frame_queries,
            frame_class_logits=predictions[-1].class_logits.unflatten(0, shape),
            frame_mask_logits=predictions[-1].mask_logits.unflatten(0, shape),
            frame_predictions=predictions,
            pose_level=pose.level,
            pose_map=pose.level_map,
            heard_level=heard.heard_level,
            state=state,
        )
