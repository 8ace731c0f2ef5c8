"""The names of weights: theirs to ours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

__all__ = ["Found", "to_ours"]


@dataclass
class Found:
    """Weights under our names."""

    canonical: dict[str, Tensor] = field(default_factory=dict)  # by the names of class AVISM
    weights: dict[str, Tensor] = field(default_factory=dict)  # by ours
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)  # ours -> theirs
    left: dict[str, str] = field(default_factory=dict)  # theirs -> why


_Rule = tuple[str, "str | Callable[[re.Match[str]], str]"]

# Other layouts to that of class AVISM. The COCO variants say `vita`, ACVIS `acvis`; torchvision and
# detectron2 have a backbone and nothing else; older Mask2Formers have a static query.
_CANONICAL: list[_Rule] = [
    (r"^module\.", ""),
    (r"^(vita|acvis)_module\.\1_mask_features\.", "avism_module.avism_mask_features."),
    (r"^(vita|acvis)_module\.", "avism_module."),
    (r"\.static_query\.", ".query_feat."),
    (r"^conv1\.", "backbone.stem.conv1."),
    (r"^bn1\.", "backbone.stem.conv1.norm."),
    (r"^layer([1-4])\.(\d+)\.bn([1-3])\.", lambda m: f"{_stage(m)}.conv{m[3]}.norm."),
    (r"^layer([1-4])\.(\d+)\.downsample\.0\.", lambda m: f"{_stage(m)}.shortcut."),
    (r"^layer([1-4])\.(\d+)\.downsample\.1\.", lambda m: f"{_stage(m)}.shortcut.norm."),
    (r"^layer([1-4])\.(\d+)\.", lambda m: f"{_stage(m)}."),
    (r"^(stem|res[2-5]|patch_embed|layers)\.", r"backbone.\1."),
]
# Weights that say nothing we need.
_LEFT = [
    (r"(^|_)criterion\.empty_weight$", "a constant of the loss"),
    (r"\.(relative_position_index|attn_mask)$", "follows from the window"),
    (r"\.num_batches_tracked$", "a count of training steps"),
    (r"^audio_backbone\.", "of VGGish, a network of its own"),
    (r"^(stem\.fc|fc|head|norm)\.(weight|bias)$", "of an image classifier"),
    (r"^pixel_(mean|std)$", "constants"),
]
_FFN = {"linear1": "feed_forward.mlp.layers.0", "linear2": "feed_forward.mlp.layers.1"}
# Class AVISM's names to ours, first match wins. What `_SPLIT` and `_JOINED` name follows.
_OURS: list[_Rule] = [
    (r"^backbone\.stem\.conv1\.norm\.", "backbone.stem.1."),
    (r"^backbone\.stem\.conv1\.", "backbone.stem.0."),
    (
        r"^backbone\.res(\d)\.(\d+)\.(conv\d|shortcut)\.(norm\.)?",
        lambda m: f"backbone.stages.{int(m[1]) - 2}.{m[2]}.{m[3]}.{1 if m[4] else 0}.",
    ),
    (r"^sem_seg_head\.pixel_decoder\.input_proj\.", "pixel_decoder.project."),
    (r"^sem_seg_head\.pixel_decoder\.transformer\.level_embed$", "pixel_decoder.level_embed"),
    (r"^sem_seg_head\.pixel_decoder\.adapter_1\.norm\.", "pixel_decoder.lateral4.1."),
    (r"^sem_seg_head\.pixel_decoder\.adapter_1\.", "pixel_decoder.lateral4.0."),
    (r"^sem_seg_head\.pixel_decoder\.layer_1\.norm\.", "pixel_decoder.smooth4.1."),
    (r"^sem_seg_head\.pixel_decoder\.layer_1\.", "pixel_decoder.smooth4.0."),
    (r"^sem_seg_head\.pixel_decoder\.mask_features\.", "pixel_decoder.mask_features."),
    (
        r"^sem_seg_head\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.",
        r"pixel_decoder.layers.\1.",
    ),
    (r"^sem_seg_head\.predictor\.av_pre_proj\.", "localizer.fusion.audio."),
    (r"^sem_seg_head\.predictor\.av_post_proj\.", "localizer.fusion.merge."),
    (
        r"^sem_seg_head\.predictor\.(?:av_sf|audio_centric_query_generator)\.(\d+)\.multihead_attn\.",
        r"localizer.fusion.attention.\1.",
    ),
    (
        r"^sem_seg_head\.predictor\.(?:av_sf|audio_centric_query_generator)\.(\d+)\.norm\.",
        r"localizer.fusion.norms.\1.",
    ),
    (r"^sem_seg_head\.predictor\.cls_token\.weight$", "localizer.count_token"),
    (r"^sem_seg_head\.predictor\.cnt_proj\.", "localizer.count."),
    (r"^sem_seg_head\.predictor\.decoder_norm\.", "localizer.norm."),
    (
        r"^sem_seg_head\.predictor\.(query_feat|query_embed|level_embed)\.weight$",
        r"localizer.\1",
    ),
    (r"^sem_seg_head\.predictor\.", "localizer."),
    (r"^avism_module\.enc_self_attn\.(\d+)\.self_attn\.", r"object_encoder.layers.\1.attention."),
    (r"^avism_module\.enc_(?:self_attn|ffn)\.(\d+)\.", r"object_encoder.layers.\1."),
    (
        r"^avism_module\.enc_av_cross_attn\.(\d+)\.multihead_attn\.",
        r"object_encoder.audio_layers.\1.attention.",
    ),
    (r"^avism_module\.enc_av_(?:cross_attn|ffn)\.(\d+)\.", r"object_encoder.audio_layers.\1."),
    (r"^avism_module\.input_proj_dec\.", "object_encoder.project."),
    (r"^avism_module\.av_proj\.", "object_encoder.audio."),
    (r"^avism_module\.avism_mask_features\.", "video_mask_features."),
    (r"^avism_module\.sim_embed_clip\.", "query_similarity."),
    (r"^avism_module\.sim_embed_frame\.", "token_similarity."),
    (r"^avism_module\.(class_embed|mask_embed)\.", r"\1."),
    (r"^avism_module\.fq_pos\.weight$", "object_decoder.token_position"),
    (r"^avism_module\.(query_feat|query_embed)\.weight$", r"object_decoder.\1"),
    (r"^avism_module\.decoder_norm\.", "object_decoder.norm."),
    (r"^avism_module\.", "object_decoder."),
]
# Layers within the parts.
_INNER: list[_Rule] = [
    (r"\.transformer_cross_attention_layers\.(\d+)\.multihead_attn\.", r".layers.\1.cross."),
    (r"\.transformer_cross_attention_layers\.(\d+)\.norm\.", r".layers.\1.cross_norm."),
    (r"\.transformer_self_attention_layers\.(\d+)\.self_attn\.", r".layers.\1.self_attention."),
    (r"\.transformer_self_attention_layers\.(\d+)\.norm\.", r".layers.\1.self_norm."),
    (r"\.transformer_ffn_layers\.(\d+)\.norm\.", r".layers.\1.feed_forward.norm."),
    (r"\.transformer_ffn_layers\.(\d+)\.", r".layers.\1."),
    (r"^(pixel_decoder\.layers\.\d+)\.norm1\.", r"\1.norm."),
    (r"^(pixel_decoder\.layers\.\d+)\.norm2\.", r"\1.feed_forward.norm."),
    (r"^(pixel_decoder\.layers\.\d+)\.self_attn\.value_proj\.", r"\1.value."),
    (r"^(pixel_decoder\.layers\.\d+)\.self_attn\.output_proj\.", r"\1.out."),
    (r"^(pixel_decoder\.layers\.\d+)\.self_attn\.", r"\1."),
    (r"^(?!backbone)(.*)\.(linear[12])\.", lambda m: f"{m[1]}.{_FFN[m[2]]}."),
    (r"\.out_proj\.(weight|bias)$", r".out.\1"),
]
_SPLIT = re.compile(r"^(.*)\.in_proj_(weight|bias)$")
_JOINED = re.compile(r"^(.*)\.(sampling_offsets|attention_weights)\.(weight|bias)$")


def to_ours(state_dict: Mapping[str, Tensor]) -> Found:
    """Name weights as our networks do; fused projections are split, separate ones joined."""
    found = Found()
    offsets: dict[str, tuple[str, Tensor]] = {}  # what waits for its other half
    for key, value in state_dict.items():
        name = key
        for pattern, new in _CANONICAL:
            name = re.sub(pattern, new, name)
        why = next((why for pattern, why in _LEFT if re.search(pattern, key)), None)
        if why is not None:
            found.left[key] = why
            continue
        found.canonical[name] = value
        ours = _name(name)
        if match := _SPLIT.match(ours):
            parts = zip(("query", "key", "value"), value.chunk(3), strict=True)
            for part, chunk in parts:
                target = f"{match[1]}.{part}.{match[2]}"
                found.weights[target], found.sources[target] = chunk.clone(), (key,)
        elif match := _JOINED.match(ours):
            target = f"{match[1]}.projections.{match[3]}"
            if target not in offsets:
                offsets[target] = (key, value)
                continue
            halves = dict([offsets.pop(target), (key, value)])
            # Offsets come first, and their key sorts last.
            keys = tuple(sorted(halves, reverse=True))
            found.weights[target] = torch.cat([halves[k] for k in keys])
            found.sources[target] = keys
        else:
            found.weights[ours], found.sources[ours] = value, (key,)
    found.left |= {key: "its other half is missing" for key, _ in offsets.values()}
    return found


def _name(canonical: str) -> str:
    name = canonical
    for pattern, new in _OURS:
        name, hits = re.subn(pattern, new, name)
        if hits:
            break
    # The encoder's attention norm and its feed-forward's differ in their list alone.
    if re.match(r"^avism_module\.enc_(av_)?ffn\.\d+\.norm\.", canonical):
        name = name.replace(".norm.", ".feed_forward.norm.")
    for pattern, new in _INNER:
        name = re.sub(pattern, new, name)
    return name


def _stage(match: re.Match[str]) -> str:
    return f"backbone.res{int(match[1]) + 1}.{match[2]}"
