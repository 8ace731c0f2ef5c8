"""`mask_post` and `mask_ids`: checked, and handed to the chosen backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from streamavis_kernels import cupy_backend
from streamavis_kernels.backend import backend
from streamavis_kernels.library import library, ops
from streamavis_kernels.masks import cuda, native, reference
from streamavis_kernels.masks.checks import check_mask_ids, check_mask_post
from streamavis_kernels.masks.reference import CAPACITY, MaskPost, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["mask_ids", "mask_post", "run_lengths"]


def mask_post(
    mask_logits: Tensor,
    kept: Tensor,
    extent: tuple[float, float],
    size: tuple[int, int],
    *,
    capacity: int = CAPACITY,
) -> MaskPost:
    """Draw the masks of the kept rows at full size, measure them and find their run lengths.

    A pixel is in a mask where the logits, bilinear between the cells' centres, are above 0. The
    same bits on every backend. What a reader needs, stats and run lengths, is a few kilobytes.

    Args:
        mask_logits: (V, h, w) float32, float16 or bfloat16, with any strides.
        kept: (N,) int64, rows of `mask_logits`, each less than V.
        extent: cells that the picture covers, down and across, from the first; the last may be
            cut, and what lies beyond is padding. Network pixels / 4 for a grid of stride 4.
        size: (H, W) of the picture.
        capacity: edges kept for each mask; `run_lengths` reads the bitmap where they are more.

    Raises:
        KernelArgumentError: a shape, dtype or size does not fit; the message names it.
    """
    check_mask_post(mask_logits, kept, extent, size, capacity)
    if backend(mask_logits.device.type) == "reference":
        return reference.mask_post(mask_logits, kept, extent, size, capacity=capacity)
    return MaskPost(*ops.mask_post(mask_logits, kept, extent, size, capacity))


def mask_ids(
    mask_logits: Tensor,
    kept: Tensor,
    scores: Tensor,
    extent: tuple[float, float],
    size: tuple[int, int],
) -> Tensor:
    """Say for each pixel which of the kept rows it shows: a map for drawing.

    Args:
        mask_logits, kept, extent, size: as for `mask_post`; 255 rows at most.
        scores: (N,) float32; where masks overlap, the greatest score times probability wins.

    Returns:
        (H, W) uint8, places in `kept`; 255 where no mask is.

    Raises:
        KernelArgumentError: a shape, dtype or size does not fit; the message names it.
    """
    check_mask_ids(mask_logits, kept, scores, extent, size)
    if backend(mask_logits.device.type) == "reference":
        return reference.mask_ids(mask_logits, kept, scores, extent, size)
    return ops.mask_ids(mask_logits, kept, scores, extent, size)


def run_lengths(post: MaskPost, size: tuple[int, int]) -> list[NDArray[np.uint32]]:
    """COCO's run lengths of each mask, zeros first: they sum up to H·W.

    Copies counts and edges from the device, and the bitmap of a mask with more than `capacity`.
    """
    pixels = size[0] * size[1]
    counts = post.counts.cpu().numpy()
    kept = post.edges.shape[1]
    edges = post.edges[:, : max(1, min(kept, int(counts.max(initial=0))))].cpu().numpy()
    runs = []
    for n, count in enumerate(counts):
        places = edges[n, :count] if count <= kept else _edges(post.bitmaps[n], pixels)
        runs.append(np.diff(places, prepend=0, append=pixels).astype(np.uint32))
    return runs


def _edges(bitmap: Tensor, pixels: int) -> NDArray[np.int64]:
    words = bitmap.cpu().numpy().view(np.uint8)
    bits = np.unpackbits(words, bitorder="little")[:pixels]
    return np.flatnonzero(np.diff(bits, prepend=np.uint8(0)))


_GRID = "float[] extent, int[] size"
_SCHEMAS = (
    f"mask_post(Tensor mask_logits, Tensor kept, {_GRID}, int capacity) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    f"mask_ids(Tensor mask_logits, Tensor kept, Tensor scores, {_GRID}) -> Tensor",
)
for _schema in _SCHEMAS:
    library.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))
    _name = _schema.partition("(")[0]
    library.impl(_name, getattr(native, _name), "CPU")
    library.impl(_name, cupy_backend.on_gpu(getattr(cuda, _name)), "CUDA")


def _fake_post(
    mask_logits: Tensor,
    kept: Tensor,
    extent: Sequence[float],
    size: Sequence[int],
    capacity: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    N = kept.shape[0]
    return (
        kept.new_empty((N, words_of(size)), dtype=torch.int32),
        kept.new_empty((N, 7)),
        kept.new_empty((N, capacity), dtype=torch.int32),
        kept.new_empty(N, dtype=torch.int32),
    )


def _fake_ids(
    mask_logits: Tensor,
    kept: Tensor,
    scores: Tensor,
    extent: Sequence[float],
    size: Sequence[int],
) -> Tensor:
    return mask_logits.new_empty((size[0], size[1]), dtype=torch.uint8)


torch.library.register_fake("streamavis::mask_post", _fake_post, lib=library)
torch.library.register_fake("streamavis::mask_ids", _fake_ids, lib=library)
