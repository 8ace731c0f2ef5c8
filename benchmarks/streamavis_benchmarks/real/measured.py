"""What one piece of work adds to the table: counts by name, predictions, drawn pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.runtime.step import StepModel
    from streamavis.runtime.tracks import TrackConfig

__all__ = ["HIT", "Box", "Measured", "Setting", "Tile", "Unit", "assign", "box_iou"]

HIT = 0.5  # IoU at which an object is found
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Setting:
    """What every piece of work is done with."""

    network: StepModel
    tracks: TrackConfig | None  # None: with the scores that the model was made for
    fps: float  # looked at, of recordings


@dataclass(frozen=True)
class Tile:
    """A drawn result for the contact sheet."""

    title: str
    picture: NDArray[np.uint8]  # (H, W, 3) RGB, small


@dataclass
class Measured:
    """Add these up."""

    counts: Counter[str] = field(default_factory=Counter)  # "row/what" -> how many, or a sum
    predictions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by twin
    tiles: list[Tile] = field(default_factory=list)

    def add(self, other: Measured) -> None:
        """Take in what another piece of work found."""
        self.counts.update(other.counts)
        for twin, found in other.predictions.items():
            self.predictions.setdefault(twin, []).extend(found)
        self.tiles += other.tiles


class Unit(Protocol):
    """A piece of work that a process can do alone."""

    @property
    def weight(self) -> float:
        """Frames that go through the network, roughly; for the progress bar."""
        ...

    def measure(self, setting: Setting) -> Measured:
        """Do it."""
        ...


def box_iou(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float64]:
    """(len(a), len(b)) IoU of boxes."""
    left = np.array(a, float).reshape(-1, 1, 4)
    right = np.array(b, float).reshape(1, -1, 4)
    low = np.maximum(left[..., :2], right[..., :2])
    high = np.minimum(left[..., 2:], right[..., 2:])
    inside = np.maximum(high - low, 0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (left, right)]
    return np.asarray(inside / np.maximum(areas[0] + areas[1] - inside, 1e-9))


def assign(iou: NDArray[np.float64], hit: float = HIT) -> list[tuple[int, int]]:
    """Pairs of a one-to-one match that overlap enough, for the largest sum of IoU."""
    if not iou.size:
        return []
    rows, columns = linear_sum_assignment(-np.where(iou >= hit, iou, 0))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if iou[row, column] >= hit]
