"""Every kernel the product can ask for: what the compile check builds and a server may warm up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streamavis_kernels.frames import cuda as frames
from streamavis_kernels.masks import cuda as masks
from streamavis_kernels.sampling import cuda as sampling

if TYPE_CHECKING:
    from streamavis_kernels.launch import Variant

__all__ = ["VARIANTS"]

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
# Levels, points, head width, heads: pixel decoder and fusion of `nano`, then of larger networks.
_SHAPES = ((3, 4, 16, 8), (3, 8, 16, 8), (3, 4, 32, 8), (3, 8, 32, 8))


def _sampling() -> list[Variant]:
    found = []
    for value in _FLOATS:
        # The networks sample from projections; this is the drop-in for others.
        found.append(sampling.variant("deform_attn", value, torch.float32, *_SHAPES[2]))
        for shape in _SHAPES:
            found.append(sampling.variant("audio_deform_attn", value, value, *shape))
            found.append(sampling.variant("deform_attn_backward", value, torch.float32, *shape))
    return found


def _pictures() -> list[Variant]:
    dtypes = (torch.uint8, *_FLOATS)
    found = [frames.variant(dtype, nv12=nv12) for dtype in dtypes for nv12 in (False, True)]
    found += [masks.variant(name, dtype) for name in ("mask_bits", "mask_ids") for dtype in _FLOATS]
    return [*found, masks.variant("mask_edges")]


VARIANTS: tuple[Variant, ...] = (*_sampling(), *_pictures())
