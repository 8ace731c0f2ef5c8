"""StreamAVIS, the causal network: one frame and the sound up to that frame at a time.

B streams, T frames, Q frame queries, V video queries (slots), C channels, D mask channels,
A audio channels, K classes, H W pixels.
The module holds weights only; the past lives in `ModelState`. `step` takes one frame and advances
the state in place; `forward` takes a clip, for training, and equals that many steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from streamavis.audio.causal import CausalAudioEncoder
from streamavis.audio.features import AudioFeatures, NullAudioEncoder
from streamavis.audio.trailing import VGGishEncoder, VGGishWeights
from streamavis.audio.vggish import FEATURES
from streamavis.errors import ArgumentError, ShapeError, StreamStateError
from streamavis.model import backbones
from streamavis.model.backbones import normalise
from streamavis.model.heads import IdentityHead, SlotHeads, Sounding, SoundingHead, class_sounding
from streamavis.model.light_backbone import NanoConfig
from streamavis.model.localizer import FrameFusion, Localized, Localizer
from streamavis.model.memory import Counters, MemoryPlan, MemoryRules, Ring, plan_clip
from streamavis.model.msdeform import MSDeformPixelDecoder
from streamavis.model.network import Network
from streamavis.model.object_encoder import ObjectEncoder
from streamavis.model.pixel_decoder import PixelDecoder, PixelFeatures
from streamavis.model.pixel_hybrid import HybridPixelDecoder
from streamavis.model.state import ModelState
from streamavis.model.video_decoder import SlotStart, VideoDecoder
from streamavis.types import WINDOW_SAMPLES

if TYPE_CHECKING:
    from streamavis.audio.vggish import VGGish
    from streamavis.model.avism import AVISM
    from streamavis.model.frame_decoder import FramePrediction

__all__ = ["ClipOutput", "StepOutput", "StreamAVIS", "StreamAVISConfig"]

Audio = Literal["causal", "vggish", "none"]
PixelKind = Literal["light", "hybrid", "msdeform"]
_LEVELS = 3  # strides 32, 16, 8


@dataclass(frozen=True)
class StreamAVISConfig:
    """Shape and memory of a StreamAVIS network; the defaults are `nano`'s."""

    classes: tuple[str, ...]
    short_side: int = 192  # pixels, of the frames the network is given
    channels: int = 128
    mask_channels: int = 64
    identity_channels: int = 64  # 0: what lies under a mask, without a head
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
    backbone: backbones.BackboneConfig = field(default_factory=NanoConfig)
    pixel_decoder: PixelKind = "light"
    pixel_hidden: int = 256  # width of the feed-forward blocks in the pixel decoder
    audio: Audio = "causal"
    audio_channels: int = 128
    audio_widths: tuple[int, ...] = (16, 32, 64, 96)  # of the causal encoder's convolutions
    vggish: VGGishWeights = "absent"  # its weights in this network, where `audio` is "vggish"
    fusion: FrameFusion = "deformable"  # how sound enters the frame's queries
    count_levels: int = 0  # ACVIS's count token, where there is no count head
    look: bool = True  # class heads also see what lies under the mask
    slot_start: SlotStart = "gate"  # what a frame's slots start from
    sounding: Sounding = "taught"
    score_on: float = 0.7  # class times mask quality from which a new object is taken for real
    score_off: float = 0.5  # and a known one for being in view

    def __post_init__(self) -> None:
        choices = {
            "pixel_decoder": PixelKind,
            "audio": Audio,
            "vggish": VGGishWeights,
            "fusion": FrameFusion,
            "slot_start": SlotStart,
            "sounding": Sounding,
        }
        for name, kind in choices.items():
            if getattr(self, name) not in get_args(kind):
                raise ArgumentError(
                    f"{name} is {getattr(self, name)!r}, expected one of {get_args(kind)}"
                )
        if self.audio == "vggish" and self.audio_channels != FEATURES:
            raise ArgumentError(
                f"audio_channels is {self.audio_channels}, but VGGish has {FEATURES}"
            )
        if self.pixel_decoder == "msdeform" and self.mask_channels != self.channels:
            raise ArgumentError(
                f"mask_channels is {self.mask_channels}, but the msdeform pixel decoder gives "
                f"masks {self.channels} channels, as many as `channels`"
            )
        for name, least in {"window": 1, "sinks": 0, "pin_first": 0}.items():
            if getattr(self, name) < least:
                raise ArgumentError(f"{name} is {getattr(self, name)}, expected at least {least}")
        if not self.memory_stride_s > 0:
            raise ArgumentError(f"memory_stride_s is {self.memory_stride_s}, expected more than 0")

    @property
    def memory(self) -> MemoryRules:
        return MemoryRules(self.window, self.sinks, self.memory_stride_s, self.pin_first)


@dataclass
class StepOutput:
    """What the network says of one frame of each stream. None: it was not taught that."""

    class_logits: Tensor  # (B, V, K+1), last = no object
    mask_logits: Tensor  # (B, V, H4, W4), of the padded frame
    mask_embed: Tensor  # (B, V, D)
    sounding_logits: Tensor  # (B, V)
    visible_logits: Tensor | None  # (B, V)
    identity: Tensor  # (B, V, identity channels), not normalised
    count_logits: Tensor | None  # (B, 2): more than 0 sound; more than 1, given more than 0
    heard_logits: Tensor | None  # (B, K): is a sound of the class in the air, on or off screen
    frame_queries: Tensor  # (B, Q, C)
    frame_class_logits: Tensor  # (B, Q, K+1)
    frame_mask_logits: Tensor  # (B, Q, H4, W4)
    # Of further heads, by name: (B, V) or (B, V, n). They become `Track.extra` as they are.
    extra: dict[str, Tensor] = field(default_factory=dict, kw_only=True)


@dataclass
class ClipOutput(StepOutput):
    """`StepOutput` of T frames: every field has (B, T, ...) in place of (B, ...)."""

    video_queries: Tensor  # (B, T, V, C), normalised
    frame_predictions: list[FramePrediction]  # (B*T, ...) before and after each frame layer
    pose_level: Tensor | None  # (B, T, V): the object's momentary level by sight alone, 0..1
    pose_map: Tensor | None  # (B, T, H4, W4): the same of whatever object each cell belongs to
    heard_level: Tensor | None  # (B, T, K): momentary loudness of each class by ear alone, 0..1
    state: ModelState  # after the clip, detached


@dataclass
class _Seen:
    """A clip's frames, each on its own."""

    features: PixelFeatures  # of B*T pictures
    found: Localized  # of B*T pictures
    queries: Tensor  # (B, T, Q, C), normalised


class StreamAVIS(Network):
    """The causal network."""

    def __init__(self, config: StreamAVISConfig) -> None:
        super().__init__()
        self.config = config
        c, classes, rules = config, len(config.classes), config.memory
        taught = c.sounding == "taught"
        self.backbone = backbones.build(c.backbone)
        self.pixel_decoder = _pixel_decoder(c)
        self.audio_encoder = _audio_encoder(c)
        self.frame_decoder = Localizer(
            c.channels,
            classes,
            audio_channels=c.audio_channels,
            mask_channels=c.mask_channels,
            queries=c.frame_queries,
            layers=c.frame_layers,
            heads=c.heads,
            levels=_LEVELS,
            hidden=c.hidden,
            fusion=c.fusion,
            fusion_points=c.fusion_points,
            count_levels=c.count_levels,
            look=c.look,
        )
        self.object_encoder = ObjectEncoder(
            c.channels,
            c.audio_channels,
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
            start=c.slot_start,
            carry=c.carry,
        )
        self.video_mask_features = nn.Conv2d(c.mask_channels, c.mask_channels, 1)
        widths = (c.channels, c.mask_channels, c.audio_channels, classes)
        self.heads = SlotHeads(*widths, look=c.look, taught=taught)
        self.sounding = SoundingHead(*widths) if taught else None
        self.identity = IdentityHead(c.channels, c.identity_channels)

    @classmethod
    def from_avism(cls, avism: AVISM, vggish: VGGish | None = None) -> StreamAVIS:
        """An online network out of an offline one, without any training: see `model.adopt`."""
        from streamavis.model.adopt import adopt  # knows both networks

        return adopt(avism, vggish)

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
            evidence=zeros(c.slots, c.channels if self.sounding is not None else 0),
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
            audio: (B, 15360), the 0.96 s of 16 kHz samples that end at `times_s`; or, where
                `audio` is "vggish", its ready features (B, 128).
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
        heard = self._hear(audio[:, None], times_s[:, None])  # in float32: spectra need it
        with self.computing():
            clip = self._run(frames[:, None], heard, times_s[:, None], active, reset, state, keep=1)
        values = {f.name: getattr(clip, f.name) for f in fields(StepOutput) if f.name != "extra"}
        first: dict[str, Any] = {k: None if x is None else x[:, 0] for k, x in values.items()}
        return StepOutput(**first, extra={name: x[:, 0] for name, x in clip.extra.items()})

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
            frames: (B, T, 3, H, W) uint8 RGB; audio: (B, T, 15360) or, as `step`, (B, T, 128).
            times_s: (B, T) float64.
            active: (B, T) bool, False = the stream pauses. Default: all active.
            reset: (B, T) bool, True = forget everything before this frame. Default: none.
            state: carried in, not changed and without gradient. Default: nothing seen yet.

        Raises:
            ShapeError, StreamStateError: as `step`.
        """
        past = self.init_state(frames.shape[0]) if state is None else state.clone()
        active = self._check(frames, audio, times_s, active, past)
        reset = torch.zeros_like(active) if reset is None else reset
        heard = self._hear(audio, times_s)
        every = self.config.frame_layers + 1
        return self._run(frames, heard, times_s, active, reset, past, keep=every)

    def forward_dual(
        self,
        frames: Tensor,
        audio: Tensor,
        times_s: Tensor,
        *,
        active: Tensor | None = None,
        reset: Tensor | None = None,
        state: ModelState | None = None,
    ) -> tuple[ClipOutput, ClipOutput]:
        """As `forward`, and the same clip with later frames in view, for training.

        Arguments and errors are those of `forward`. The frames are put through the backbone once.

        Returns:
            what `forward` returns; and the full-context output, where each frame also attends to
            later frames of the clip (`memory.plan_clip`). Both hold the causal state.
        """
        past = self.init_state(frames.shape[0]) if state is None else state.clone()
        active = self._check(frames, audio, times_s, active, past)
        reset = torch.zeros_like(active) if reset is None else reset
        heard = self._hear(audio, times_s)
        seen = self._localize(frames, heard, keep=self.config.frame_layers + 1)
        rules, before = self.config.memory, past.clone()
        plan = plan_clip(rules, past.counters, times_s, active, reset)
        causal = self._track(seen, heard, plan, past)
        plan = plan_clip(rules, before.counters, times_s, active, reset, full_context=True)
        full = self._track(seen, heard, plan, before)
        return causal, replace(full, state=causal.state)

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
        features = (FEATURES,) if self.config.audio == "vggish" else ()
        if audio.shape[:-1] != shape or audio.shape[-1] not in (WINDOW_SAMPLES, *features):
            ready = f", or {FEATURES} ready features" if features else ""
            raise ShapeError(
                f"audio must hold {WINDOW_SAMPLES} samples per frame, {(*shape, WINDOW_SAMPLES)}"
                f"{ready}, but got {tuple(audio.shape)}"
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

    def _hear(self, audio: Tensor, times_s: Tensor) -> AudioFeatures:
        """(B, T, 15360 or 128) and (B, T) -> what each frame hears, (B, T, ...)."""
        heard = self.audio_encoder(audio.flatten(0, 1), times_s.flatten())
        values = (heard.tokens, heard.heard_logits, heard.heard_level)
        tokens, *rest = (_unflatten(x, times_s.shape) for x in values)
        assert tokens is not None, "every listener gives tokens"
        return AudioFeatures(tokens, *rest)

    def _run(
        self,
        frames: Tensor,
        heard: AudioFeatures,
        times_s: Tensor,
        active: Tensor,
        reset: Tensor,
        state: ModelState,
        *,
        keep: int,
    ) -> ClipOutput:
        """Both ways in; advances `state` in place. `keep`: of the localizer's predictions."""
        seen = self._localize(frames, heard, keep=keep)
        plan = plan_clip(self.config.memory, state.counters, times_s, active, reset)
        return self._track(seen, heard, plan, state)

    def _localize(self, frames: Tensor, heard: AudioFeatures, *, keep: int) -> _Seen:
        """What each frame shows: (B, T, 3, H, W); nothing here crosses frames."""
        features = self.see(frames.flatten(0, 1))
        found = self.frame_decoder(features, heard.tokens.flatten(0, 1), keep=keep)
        queries = self.frame_decoder.norm(found.queries[-1]).unflatten(0, frames.shape[:2])
        return _Seen(features, found, queries)

    def _track(
        self, seen: _Seen, heard: AudioFeatures, plan: MemoryPlan, state: ModelState
    ) -> ClipOutput:
        """Objects through time, under `plan`; advances `state` in place."""
        objects = self.object_encoder(seen.queries, heard.tokens, plan, state.object_rings)
        video, slots = self.video_decoder(objects, plan, state.video_rings, state.slots)
        output = self._read_slots(video, seen, heard, plan, state)
        state.slots.copy_(slots.detach())
        for kept, new in zip(state.counters.tensors(), plan.counters.tensors(), strict=True):
            kept.copy_(new)
        return output

    def _read_slots(
        self,
        video: Tensor,
        seen: _Seen,
        heard: AudioFeatures,
        plan: MemoryPlan,
        state: ModelState,
    ) -> ClipOutput:
        shape, features, found = video.shape[:2], seen.features, seen.found
        mask_embed = self.heads.mask_embed(video)
        mask_features = self.video_mask_features(features.stride4)
        masks = torch.einsum("nvd,ndhw->nvhw", mask_embed.flatten(0, 1), mask_features)
        class_logits = self.heads.class_logits(video.flatten(0, 1), masks, features.stride8)
        class_logits = class_logits.unflatten(0, shape)
        pose = None
        if self.sounding is None:
            sounding = class_sounding(class_logits, masks.unflatten(0, shape))
        else:
            pose = self.sounding.pose(masks, features.stride4, shape)
            cues, match = self.sounding.cues(video, class_logits, pose, heard)
            sounding, evidence = self.sounding(cues, match, state.evidence, plan.fresh, plan.active)
            state.evidence.copy_(evidence.detach())
        counted = self.heads.count_logits(video, heard.tokens)
        last = found.predictions[-1]
        return ClipOutput(
            class_logits=class_logits,
            mask_logits=masks.unflatten(0, shape),
            mask_embed=mask_embed,
            sounding_logits=sounding,
            visible_logits=self.heads.visible_logits(video),
            identity=self.identity(masks, features).unflatten(0, shape),
            count_logits=_unflatten(found.count_logits, shape) if counted is None else counted,
            heard_logits=heard.heard_logits,
            frame_queries=seen.queries,
            frame_class_logits=last.class_logits.unflatten(0, shape),
            frame_mask_logits=last.mask_logits.unflatten(0, shape),
            video_queries=video,
            frame_predictions=found.predictions,
            pose_level=None if pose is None else pose.level,
            pose_map=None if pose is None else pose.level_map,
            heard_level=heard.heard_level,
            state=state,
        )


def _unflatten(x: Tensor | None, shape: torch.Size) -> Tensor | None:
    return None if x is None else x.unflatten(0, shape)


def _pixel_decoder(
    c: StreamAVISConfig,
) -> PixelDecoder | HybridPixelDecoder | MSDeformPixelDecoder:
    inputs = tuple(c.backbone.channels)
    if c.pixel_decoder == "msdeform":
        return MSDeformPixelDecoder(
            inputs,
            c.channels,
            layers=c.pixel_layers,
            heads=c.heads,
            points=c.points,
            hidden=c.pixel_hidden,
        )
    kind = HybridPixelDecoder if c.pixel_decoder == "hybrid" else PixelDecoder
    return kind(
        inputs,
        c.channels,
        c.mask_channels,
        layers=c.pixel_layers,
        heads=c.heads,
        points=c.points,
        hidden=c.pixel_hidden,
    )


def _audio_encoder(c: StreamAVISConfig) -> CausalAudioEncoder | VGGishEncoder | NullAudioEncoder:
    classes = len(c.classes)
    if c.audio == "vggish":
        return VGGishEncoder(classes, weights=c.vggish, taught=c.sounding == "taught")
    if c.audio == "none":
        return NullAudioEncoder(c.audio_channels, classes)
    return CausalAudioEncoder(c.audio_channels, classes, c.audio_widths)
