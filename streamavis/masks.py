"""Masks to run lengths and back (COCO's format, by pycocotools).

NumPy and pycocotools are imported at the first use: a reader of the wire may never decode a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamavis.errors import ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Rle", "decode", "encode", "from_runs"]


@dataclass(slots=True)
class Rle:
    """A binary mask as COCO's compressed run-length encoding (column-major)."""

    size: tuple[int, int]  # height, width
    counts: str  # COCO's ASCII alphabet


def encode(mask: NDArray[np.bool_]) -> Rle:
    """Encode a (H, W) bool mask.

    Raises:
        ShapeError: `mask` is not two-dimensional bool.
    """
    import numpy as np
    from pycocotools import mask as coco

    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ShapeError(f"expected a (H, W) bool mask but got {mask.shape} {mask.dtype}")
    packed = coco.encode(np.asfortranarray(mask.view(np.uint8)))
    height, width = mask.shape
    return Rle((height, width), packed["counts"].decode("ascii"))


def from_runs(runs: NDArray[np.uint32], size: tuple[int, int]) -> Rle:
    """Pack run lengths, zeros first, down the columns of a (H, W) mask."""
    from pycocotools import mask as coco

    height, width = size
    packed = coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return Rle((height, width), packed["counts"].decode("ascii"))


def decode(rle: Rle) -> NDArray[np.bool_]:
    """Decode to a (H, W) bool mask."""
    from pycocotools import mask as coco

    packed = {"size": list(rle.size), "counts": rle.counts.encode("ascii")}
    return coco.decode(packed).astype(bool)
