"""An online network out of an offline one: AVISM's weights in StreamAVIS's place, untrained."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from streamavis.errors import CheckpointError
from streamavis.model.streamavis import StreamAVIS, StreamAVISConfig

if TYPE_CHECKING:
    from streamavis.audio.trailing import VGGishEncoder, VGGishWeights
    from streamavis.audio.vggish import VGGish
    from streamavis.model.avism import AVISM, AVISMConfig

__all__ = ["Adopted", "adopt", "adopt_into", "causal_config"]

# The causal network's names to the offline one's, first match wins; the others are the same.
_NAMES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^frame_decoder\.", "localizer."),
        (r"^heads\.(class_embed|mask_embed)\.", r"\1."),
        (r"^(object_encoder\.(?:audio_)?layers\.\d+)\.memory\.attention\.", r"\1.attention."),
        (r"^video_decoder\.(layers\.\d+)\.cross\.attention\.", r"object_decoder.\1.cross."),
        (r"^video_decoder\.", "object_decoder."),
    )
]
# New weights that change nothing at their start, and those that `adopt` fills from VGGish.
_NEUTRAL = re.compile(r"\.(age_bias|sink_keys|sink_values)$|\.carry\.|^audio_encoder\.")
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
        long_side=c.long_side,
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
        audio=c.audio,
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
    new = adopt_into(model, avism).new
    if vggish is not None:
        cast("VGGishEncoder", model.audio_encoder).vggish = copy.deepcopy(vggish)
    missing = [name for name in new if not _NEUTRAL.search(name)]
    assert not missing, f"weights without a source in AVISM: {missing}"
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Adopted:
    """What became of the weights of a causal network that starts from an offline one."""

    taken: tuple[str, ...]  # ours
    new: tuple[str, ...]  # ours that the offline network has no counterpart for
    other_shape: tuple[str, ...]  # ours whose counterpart has another shape


def adopt_into(model: StreamAVIS, avism: AVISM) -> Adopted:
    """Copy into a causal network of any shape what fits from an offline one.

    Sinks, age bias, the slots' gate, deformable fusion and the sounding, visible and identity
    heads are new: they stay as they were.
    """
    ours, theirs = model.state_dict(), avism.state_dict()
    taken: list[str] = []
    new: list[str] = []
    other_shape: list[str] = []
    for name, weight in ours.items():
        source = theirs.get(_theirs(name))
        if source is None:
            new.append(name)
        elif source.shape != weight.shape:
            other_shape.append(name)
        else:
            weight.copy_(source)
            taken.append(name)
    return Adopted(tuple(taken), tuple(new), tuple(other_shape))


def _theirs(name: str) -> str:
    """The offline network's name of a causal network's weight."""
    for pattern, replacement in _NAMES:
        name, count = pattern.subn(replacement, name)
        if count:
            break
    return name
