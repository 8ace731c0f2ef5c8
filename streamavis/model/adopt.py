"""An online network out of an offline one: AVISM's weights in StreamAVIS's place, untrained."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch

from streamavis.errors import CheckpointError
from streamavis.model.streamavis import StreamAVIS, StreamAVISConfig

if TYPE_CHECKING:
    from streamavis.audio.trailing import VGGishEncoder, VGGishWeights
    from streamavis.audio.vggish import VGGish
    from streamavis.model.avism import AVISM, AVISMConfig
    from streamavis.model.frame_decoder import FrameDecoderLayer
    from streamavis.model.object_decoder import ObjectDecoder
    from streamavis.model.object_encoder import MemoryLayer, ObjectEncoder
    from streamavis.model.video_decoder import VideoDecoder, VideoDecoderLayer
    from streamavis.model.window_encoder import WindowedObjectEncoder, WindowLayer

__all__ = ["adopt", "causal_config"]

_THRESHOLD = 0.3  # of AVISM's scores, which are not as sure as those of a network taught silence


def causal_config(c: AVISMConfig, vggish: VGGishWeights = "absent") -> StreamAVISConfig:
    """The causal network of an offline one's shape: its window is the memory and the frame.

    Args:
        c: of the offline network.
        vggish: its weights in the causal network.
    """
    return StreamAVISConfig(
        classes=c.classes,
        backbone=c.backbone,
        pixel_decoder="msdeform",
        short_side=c.short_side,
        channels=c.channels,
        mask_channels=c.channels,
        identity_channels=0,
        heads=c.heads,
        hidden=c.hidden,
        pixel_hidden=c.pixel_hidden,
        frame_queries=c.frame_queries,
        slots=c.video_queries,
        pixel_layers=c.pixel_layers,
        points=c.points,
        frame_layers=c.frame_layers,
        object_layers=c.object_layers,
        audio_layers=c.object_layers if c.video_fusion else 0,
        video_layers=c.video_layers,
        window=max(c.window - 1, 1),
        sinks=0,
        memory_stride_s=1.0,  # the rate AVISM's frames come at
        carry=0.0,
        audio="vggish",
        audio_channels=c.audio_channels,
        vggish=vggish,
        fusion=c.frame_fusion,
        count_levels=c.count_levels,
        look=False,
        sounding="found",
        score_on=_THRESHOLD,
        score_off=_THRESHOLD * 2 / 3,
    )


def adopt(avism: AVISM, vggish: VGGish | None = None) -> StreamAVIS:
    """Build the causal network that sees and hears as `avism` does, ready for inference.

    It remembers one frame a second, as many as AVISM's window has besides the current one. What
    it finds sounds: `sounding_logits` is the best class's, where the mask is not empty. What is
    visible is not known to it.

    Args:
        avism: its weights are copied.
        vggish: copied as well; without it the network takes ready features only.

    Raises:
        CheckpointError: `avism` hears through something else than VGGish's 128 features.
    """
    weights: VGGishWeights = "absent"
    if vggish is not None:
        weights = "plain" if vggish.pproc is None else "pca"
    try:
        config = causal_config(avism.config, weights)
    except ValueError as error:
        raise CheckpointError(f"this AVISM cannot be made causal: {error}") from error
    model = StreamAVIS(config)
    same = {
        "backbone": "backbone",
        "pixel_decoder": "pixel_decoder",
        "frame_decoder": "localizer",
        "video_mask_features": "video_mask_features",
        "heads.class_embed": "class_embed",
        "heads.mask_embed": "mask_embed",
    }
    for ours, theirs in same.items():
        model.get_submodule(ours).load_state_dict(avism.get_submodule(theirs).state_dict())
    _adopt_encoder(model.object_encoder, avism.object_encoder)
    _adopt_decoder(model.video_decoder, avism.object_decoder)
    if vggish is not None:
        cast("VGGishEncoder", model.audio_encoder).vggish = copy.deepcopy(vggish)
    return model.eval().requires_grad_(False)


def _adopt_encoder(ours: ObjectEncoder, theirs: WindowedObjectEncoder) -> None:
    ours.project.load_state_dict(theirs.project.state_dict())
    if ours.audio is not None and theirs.audio is not None:
        ours.audio.load_state_dict(theirs.audio.state_dict())
    pairs = [
        *zip(ours.layers, theirs.layers, strict=True),
        *zip(ours.audio_layers, theirs.audio_layers, strict=True),
    ]
    for layer, other in cast("list[tuple[MemoryLayer, WindowLayer]]", pairs):
        layer.memory.attention.load_state_dict(other.attention.state_dict())
        layer.norm.load_state_dict(other.norm.state_dict())
        layer.feed_forward.load_state_dict(other.feed_forward.state_dict())


@torch.no_grad()
def _adopt_decoder(ours: VideoDecoder, theirs: ObjectDecoder) -> None:
    for name in ("query_feat", "query_embed", "token_position"):
        getattr(ours, name).copy_(getattr(theirs, name))
    ours.norm.load_state_dict(theirs.norm.state_dict())
    for layer, other in zip(ours.layers, theirs.layers, strict=True):
        cross = cast("VideoDecoderLayer", layer).cross.attention
        cross.load_state_dict(cast("FrameDecoderLayer", other).cross.state_dict())
        parts = ("cross_norm", "self_attention", "self_norm", "feed_forward")
        for part in parts:
            layer.get_submodule(part).load_state_dict(other.get_submodule(part).state_dict())
