"""The model's output to what a reader sees: sightings for the track book, then full masks.

Masks are upsampled only where they are: for tracks that are reported, inside the box of the small
mask and one cell around it. That equals upsampling the whole grid, because bilinear values between
cells that are all <= 0 are <= 0.

B streams, V slots, K classes, C channels, H W source pixels, h w network pixels, H4 W4 cells of
the stride-4 grid over the padded network picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import cv2
import numpy as np
import torch

from streamavis.errors import ModelOutputError
from streamavis.masks import encode
from streamavis.runtime.tracks import Sightings
from streamavis.types import Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from streamavis.runtime.tracks import Tracked

__all__ = ["MaskGrid", "Region", "SlotOutput", "Slots", "mask_in_source", "report", "to_host"]

Region: TypeAlias = tuple[slice, slice]  # rows, columns

_STRIDE = 4  # network pixels per cell of the mask grid


class SlotOutput(Protocol):
    """The part of the model's `StepOutput` that becomes a result, B = 1."""

    @property
    def class_logits(self) -> Tensor: ...  # (B, V, K+1), last = no object
    @property
    def mask_logits(self) -> Tensor: ...  # (B, V, H4, W4)
    @property
    def sounding_logits(self) -> Tensor: ...  # (B, V)
    @property
    def visible_logits(self) -> Tensor | None: ...  # (B, V)
    @property
    def identity(self) -> Tensor: ...  # (B, V, C)
    @property
    def heard_logits(self) -> Tensor | None: ...  # (B, K)


@dataclass
class Slots:
    """One frame's slots on the host."""

    class_probs: NDArray[np.float32]  # (V, K)
    mask_logits: NDArray[np.float32]  # (V, cells, cells) of the picture without its padding
    identity: NDArray[np.float32]  # (V, C)
    sounding: NDArray[np.float32]  # (V,) 0..1
    visible: NDArray[np.float32] | None  # (V,) 0..1
    heard: NDArray[np.float32] | None  # (K,) 0..1: a sound of the class is in the air
    network_size: tuple[int, int]  # h, w

    def sightings(self, *, hears: bool) -> Sightings:
        """What the track book needs; without hearing, `sounding` is unknown.

        A score is the best class probability times the mean probability inside the mask: sure of
        what and sure of where.
        """
        masks = self.mask_logits > 0
        scores = np.zeros(len(masks), np.float32)
        for slot in np.flatnonzero(masks.any(axis=(1, 2))):
            inside = self.mask_logits[slot][masks[slot]]
            scores[slot] = self.class_probs[slot].max() * (1 / (1 + np.exp(-inside))).mean()
        return Sightings(
            scores=scores,
            class_probs=self.class_probs,
            masks=masks,
            embeddings=self.identity,
            sounding=self.sounding if hears else None,
            visible=self.visible,
        )


def to_host(output: SlotOutput, network_size: tuple[int, int]) -> Slots:
    """Bring one stream's slots to the host in a single copy.

    Args:
        output: of one step, B = 1.
        network_size: (h, w) of the picture before padding.

    Raises:
        ModelOutputError: a value is NaN or infinite.
    """
    cells = [-(-side // _STRIDE) for side in network_size]
    parts = {
        "class": output.class_logits[0].float().softmax(-1)[:, :-1],
        "mask": output.mask_logits[0, :, : cells[0], : cells[1]],
        "identity": output.identity[0],
        "sounding": output.sounding_logits[0].sigmoid(),
    }
    if output.visible_logits is not None:
        parts["visible"] = output.visible_logits[0].sigmoid()
    if output.heard_logits is not None:
        parts["heard"] = output.heard_logits[0].sigmoid()
    packed = torch.cat([part.float().reshape(-1) for part in parts.values()]).cpu().numpy()
    if not np.isfinite(packed).all():
        broken = [name for name, part in parts.items() if not part.isfinite().all()]
        raise ModelOutputError(
            f"the model gave NaN or infinity for {', '.join(broken)}; "
            "its weights are damaged or do not fit this model"
        )
    ends = np.cumsum([part.numel() for part in parts.values()])[:-1]
    arrays = {
        name: array.reshape(part.shape)
        for (name, part), array in zip(parts.items(), np.split(packed, ends), strict=True)
    }
    return Slots(
        class_probs=arrays["class"],
        mask_logits=arrays["mask"],
        identity=arrays["identity"],
        sounding=arrays["sounding"],
        visible=arrays.get("visible"),
        heard=arrays.get("heard"),
        network_size=network_size,
    )


def report(
    slots: Slots, tracked: Sequence[Tracked], size: tuple[int, int], classes: Sequence[str]
) -> list[Track]:
    """Give each tracked object its mask in the (H, W) source picture.

    A track whose mask has no source pixel is left out.
    """
    tracks = []
    grid = MaskGrid.between(slots.mask_logits.shape[1:], slots.network_size, size)
    for seen in tracked:
        mask, region = mask_in_source(slots.mask_logits[seen.slot], grid)
        extent = _Extent.of(mask, region)
        if extent is None:
            continue
        tracks.append(
            Track(
                id=seen.id,
                label=classes[seen.class_id],
                class_id=seen.class_id,
                score=seen.score,
                sounding=seen.sounding,
                visible=seen.visible,
                box=extent.box,
                centroid=extent.centroid,
                area=extent.area,
                rle=encode(mask),
            )
        )
    return tracks


@dataclass(frozen=True)
class _Extent:
    """Where a mask is, in source pixels."""

    box: tuple[int, int, int, int]  # x, y, w, h
    centroid: tuple[float, float]  # x, y
    area: int

    @classmethod
    def of(cls, mask: NDArray[np.bool_], region: Region) -> _Extent | None:
        """Measure a mask that is empty outside of `region`; None if it is empty inside too."""
        inside = mask[region].T.view(np.uint8)  # (columns, rows), contiguous along rows
        if not inside.any():
            return None
        rows, columns = (
            cv2.reduce(inside, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() for axis in (0, 1)
        )
        ys, xs = np.flatnonzero(rows), np.flatnonzero(columns)
        top, left = region[0].start, region[1].start
        area = int(rows.sum())
        return cls(
            box=(
                left + int(xs[0]),
                top + int(ys[0]),
                int(xs[-1] - xs[0]) + 1,
                int(ys[-1] - ys[0]) + 1,
            ),
            centroid=(
                left + float(columns @ np.arange(len(columns))) / area,
                top + float(rows @ np.arange(len(rows))) / area,
            ),
            area=area,
        )


@dataclass(frozen=True)
class _Axis:
    """Where the source pixels of one axis fall between the cells of the mask grid."""

    low: NDArray[np.intp]  # (pixels,) cell before the pixel's centre
    high: NDArray[np.intp]  # (pixels,) cell after it
    weight: NDArray[np.float32]  # (pixels,) of `high`, [0, 1)

    @classmethod
    def between(cls, cells: int, network: int, pixels: int) -> _Axis:
        place = (np.arange(pixels) + 0.5) * (network / pixels / _STRIDE) - 0.5
        place = place.clip(0, cells - 1)
        low = place.astype(np.intp)
        return cls(low, np.minimum(low + 1, cells - 1), (place - low).astype(np.float32))

    def around(self, first: int, last: int) -> slice:
        """Pixels whose value cells `first` to `last` can touch."""
        return slice(
            int(np.searchsorted(self.high, first)), int(np.searchsorted(self.low, last, "right"))
        )


@dataclass(frozen=True)
class MaskGrid:
    """Where the pixels of the source picture lie on the mask grid."""

    rows: _Axis
    columns: _Axis

    @classmethod
    def between(
        cls, cells: tuple[int, ...], network: tuple[int, int], size: tuple[int, int]
    ) -> MaskGrid:
        """Lay `cells` of 4 network pixels, over a picture of `network` pixels, under `size`."""
        axes = [_Axis.between(*axis) for axis in zip(cells, network, size, strict=True)]
        return cls(*axes)


def mask_in_source(logits: NDArray[np.float32], grid: MaskGrid) -> tuple[NDArray[np.bool_], Region]:
    """Upsample one (cells, cells) mask bilinearly to the source and threshold it at 0.

    Returns:
        The (H, W) mask, column-major as run-length encoding reads it, and the rows and columns
        outside of which it is empty.
    """
    rows, columns = grid.rows, grid.columns
    mask = np.zeros((len(rows.low), len(columns.low)), np.bool_, order="F")
    inside = logits > 0
    ys, xs = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if len(ys) == 0:
        return mask, (slice(0, 0), slice(0, 0))
    region = rows.around(ys[0], ys[-1]), columns.around(xs[0], xs[-1])
    row, column = region
    # Transposed, as the mask lies in memory. Down the picture first, where columns are few.
    cells = logits.T
    low, high = cells[:, rows.low[row]], cells[:, rows.high[row]]
    tall = low + (high - low) * rows.weight[row]
    left, right = columns.low[column], columns.high[column]
    step = tall[right] - tall[left]
    step *= columns.weight[column, None]
    step += tall[left]
    mask[region] = (step > 0).T
    return mask, region
