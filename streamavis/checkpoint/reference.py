"""Published AVISM, ACVIS, VITA, Mask2Former and ImageNet weights into our networks."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from streamavis.checkpoint.keys import Found, to_ours
from streamavis.errors import CheckpointError
from streamavis.model.avism import AVISEG_CLASSES, AVISM, AVISMConfig
from streamavis.model.resnet import ResNetConfig
from streamavis.model.swin import SwinConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streamavis.model.localizer import FrameFusion

__all__ = ["Report", "avism_from_reference", "convert", "initialise"]

_PREDICTOR = "sem_seg_head.predictor."
_PIXEL = "sem_seg_head.pixel_decoder."
_LAYER = _PIXEL + "transformer.encoder.layers."
_SHORT_SIDE = {ResNetConfig: 360, SwinConfig: 448}


@dataclass
class Report:
    """What became of each weight."""

    used: dict[str, tuple[str, ...]] = field(default_factory=dict)  # theirs -> ours
    left: dict[str, str] = field(default_factory=dict)  # theirs -> why
    missing: tuple[str, ...] = ()  # ours that nothing filled


def avism_from_reference(
    state_dict: Mapping[str, Tensor],
    *,
    classes: tuple[str, ...] | None = None,
    window: int = 6,
    short_side: int | None = None,
) -> AVISM:
    """Build the network that a published AVISM or ACVIS checkpoint is of, ready for inference.

    Args:
        state_dict: as published (class AVISM, AVISM_COCO or ACVIS).
        classes, window, short_side: what the weights do not tell; see `AVISMConfig`. By default
            AVISeg's classes where there are 26, 6 frames, and 360 or (Swin) 448 pixels.

    Raises:
        CheckpointError: a weight is missing or has the wrong shape; names the first.
    """
    return convert(state_dict, classes=classes, window=window, short_side=short_side)[0]


def convert(
    state_dict: Mapping[str, Tensor],
    *,
    classes: tuple[str, ...] | None = None,
    window: int = 6,
    short_side: int | None = None,
) -> tuple[AVISM, Report]:
    """As `avism_from_reference`, with a report of every weight."""
    found = to_ours(state_dict)
    config = _config(found.canonical, classes, window, short_side)
    with torch.device("meta"):
        model = AVISM(config)
    report = _fit(model, found, exact=True)
    if report.missing:
        raise CheckpointError(
            f"{len(report.missing)} weights are missing for AVISM, first {report.missing[0]}; "
            "to start training from part of a network, initialise one instead"
        )
    # On the meta device nothing was initialised: buffers that are not weights are made anew.
    model = AVISM(config) if _has_derived(model) else model
    model.load_state_dict(found.weights, strict=False, assign=True)
    return model.eval().requires_grad_(False), report


def initialise(model: AVISM, state_dict: Mapping[str, Tensor]) -> Report:
    """Fill what fits from a detector's or a backbone's weights, to start training from.

    Takes Mask2Former, VITA and AVISM layouts, and ImageNet backbones of torchvision, detectron2
    and Swin. What has another shape (heads for other classes) stays as it was.

    Raises:
        CheckpointError: nothing fits.
    """
    found = to_ours(state_dict)
    report = _fit(model, found, exact=False)
    if not report.used:
        first = next(iter(state_dict), None)
        raise CheckpointError(
            f"none of {len(state_dict)} weights (first {first!r}) fits this network; expected "
            "the layout of AVISM, VITA, Mask2Former, torchvision, detectron2 or Swin"
        )
    model.load_state_dict(found.weights, strict=False)
    return report


def _fit(model: AVISM, found: Found, *, exact: bool) -> Report:
    """Keep in `found.weights` what the model takes, and tell of the rest."""
    report = Report(left=dict(found.left))
    expected = model.state_dict()
    for name in list(found.weights):
        theirs = found.sources[name]
        wrong = ""
        if name not in expected:
            wrong = "this network has no such part"
        elif expected[name].shape != found.weights[name].shape:
            shape, wanted = tuple(found.weights[name].shape), tuple(expected[name].shape)
            wrong = f"has shape {shape}, expected {wanted}"
            if exact:
                raise CheckpointError(f"{theirs[0]} (our {name}) {wrong}")
        if wrong:
            del found.weights[name]
            report.left |= dict.fromkeys(theirs, wrong)
            continue
        for key in theirs:
            report.used[key] = (*report.used.get(key, ()), name)
    report.missing = tuple(sorted(expected.keys() - found.weights.keys()))
    return report


def _has_derived(model: AVISM) -> bool:
    kept = model.state_dict().keys()
    return any(name not in kept for name, _ in model.named_buffers())


def _config(
    state: Mapping[str, Tensor],
    classes: tuple[str, ...] | None,
    window: int,
    short_side: int | None,
) -> AVISMConfig:
    """What the shapes tell of the network."""
    shape = functools.partial(_shape, state)
    backbone = _backbone(state)
    frame_queries, channels = shape(_PREDICTOR + "query_feat.weight")
    number = shape("avism_module.class_embed.weight")[0] - 1
    if classes is None:
        known = AVISEG_CLASSES if number == len(AVISEG_CLASSES) else None
        classes = known or tuple(f"class {i}" for i in range(number))
    elif len(classes) != number:
        raise CheckpointError(f"{len(classes)} class names for weights of {number} classes")
    heads = AVISMConfig().heads  # no shape tells them
    levels = shape(_PIXEL + "transformer.level_embed")[0]
    video_fusion = "avism_module.av_proj.weight" in state
    audio = next(
        (
            k
            for k in (_PREDICTOR + "av_pre_proj.weight", "avism_module.av_proj.weight")
            if k in state
        ),
        None,
    )
    count = _PREDICTOR + "cnt_proj.weight"
    fusion: FrameFusion = "none"
    if any(k.startswith(_PREDICTOR + "av_sf.") for k in state):
        fusion = "dense"
    elif any(k.startswith(_PREDICTOR + "audio_centric_query_generator.") for k in state):
        fusion = "audio-centric"
    return AVISMConfig(
        classes=classes,
        backbone=backbone,
        short_side=short_side or _SHORT_SIDE[type(backbone)],
        channels=channels,
        audio_channels=shape(audio)[1] if audio else AVISMConfig().audio_channels,
        hidden=shape(_PREDICTOR + "transformer_ffn_layers.0.linear1.weight")[0],
        pixel_layers=_count(state, _LAYER),
        pixel_hidden=shape(_LAYER + "0.linear1.weight")[0],
        points=shape(_LAYER + "0.self_attn.sampling_offsets.weight")[0] // (heads * levels * 2),
        frame_queries=frame_queries,
        frame_layers=_count(state, _PREDICTOR + "transformer_ffn_layers."),
        frame_fusion=fusion,
        count_levels=shape(count)[0] if count in state else 0,
        object_layers=_count(state, "avism_module.enc_self_attn."),
        window=window,
        video_fusion=video_fusion,
        video_queries=shape("avism_module.query_feat.weight")[0],
        video_layers=_count(state, "avism_module.transformer_ffn_layers."),
    )


def _backbone(state: Mapping[str, Tensor]) -> ResNetConfig | SwinConfig:
    patches = state.get("backbone.patch_embed.proj.weight")
    if patches is None:
        blocks = tuple(_count(state, f"backbone.res{i}.") for i in range(2, 6))
        if 0 in blocks:
            raise CheckpointError("its backbone is neither a ResNet nor a Swin Transformer")
        return ResNetConfig(blocks)
    stages = range(_count(state, "backbone.layers."))
    table = "backbone.layers.{}.blocks.0.attn.relative_position_bias_table"
    tables = [_shape(state, table.format(i)) for i in stages or (0,)]
    return SwinConfig(
        embed=patches.shape[0],
        depths=tuple(_count(state, f"backbone.layers.{i}.blocks.") for i in stages),
        heads=tuple(heads for _, heads in tables),
        window=(math.isqrt(tables[0][0]) + 1) // 2,
    )


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, ...]:
    if key not in state:
        raise CheckpointError(f"not an AVISM checkpoint: it has no {key}")
    return tuple(state[key].shape)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbers follow `prefix` in keys."""
    number = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({m.group(1) for m in map(number.match, state) if m})
