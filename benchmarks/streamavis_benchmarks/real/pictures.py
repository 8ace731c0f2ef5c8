"""Whole annotated pictures: which objects are found, which reports are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streamavis.errors import InputError
from streamavis.masks import decode
from streamavis.types import Rle
from streamavis_benchmarks.real.labels import class_of, group_of, right_classes
from streamavis_benchmarks.real.measured import Measured, assign
from streamavis_benchmarks.real.sheet import tile_of
from streamavis_benchmarks.real.streams import STILL_FRAMES, watch_still

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.types import Track
    from streamavis_benchmarks.real.measured import Setting
    from streamavis_benchmarks.real.pack import Scene

__all__ = ["SceneUnit", "overlap"]

LEAST_SHARE = 0.02  # of the picture, from which on an object is asked for
_INSIDE = 0.5  # of a report, that lies on a mask: the report is of what is labelled there


@dataclass(frozen=True)
class SceneUnit:
    """One picture, shown as a still stream.

    An object of 2 % of the picture or more counts as found where a report of its class has a mask
    IoU of 0.5. A report is right where it so matches any labelled object; it is not counted on a
    crowd, and, in a picture that is not annotated completely, beside what is labelled.
    """

    scene: Scene
    drawn: bool = False
    weight: float = STILL_FRAMES

    def measure(self, setting: Setting) -> Measured:
        picture = cv2.imread(str(self.scene.path), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise InputError(f"{self.scene.path} cannot be decoded as a picture")
        result = watch_still(setting.network, np.asarray(picture, np.uint8), setting.tracks)
        found = Measured()
        classes = tuple(setting.network.config.classes)
        _count(found, self.scene, result.tracks, classes, result.size)
        if self.drawn:
            image = np.asarray(picture, np.uint8)
            found.tiles.append(tile_of(self.scene.path.stem, image, result))
        return found


def _count(
    found: Measured,
    scene: Scene,
    tracks: Sequence[Track],
    classes: tuple[str, ...],
    size: tuple[int, int],
) -> None:
    counts = found.counts
    objects = [one for one in scene.objects if not one.crowd]
    masks = [_scaled(one.rle, size) for one in scene.objects]
    single = [mask for mask, one in zip(masks, scene.objects, strict=True) if not one.crowd]
    right = [right_classes(one.label, classes) for one in objects]
    iou = overlap(tracks, single)
    for row, track in enumerate(tracks):
        for column, allowed in enumerate(right):
            if track.class_id not in allowed:
                iou[row, column] = 0
    pairs = assign(iou)
    matched = {column for _, column in pairs}
    shares = [float(mask.mean()) for mask in single]
    large = [column for column, share in enumerate(shares) if share >= LEAST_SHARE]
    persons = [column for column in large if objects[column].label == "person"]
    for column in large:
        class_id = class_of(objects[column].label, classes)
        group = group_of(objects[column].label)
        rows = ["pictures"] if class_id >= 0 else []  # what the model does not know is not asked
        rows += [f"pictures, {group}"] if group else []
        rows += ["pictures, two persons"] if column in persons and len(persons) > 1 else []
        rows += [f"class, {classes[class_id]}"] if class_id >= 0 else []
        for name in rows:
            counts[f"{name}/objects"] += 1
            counts[f"{name}/found"] += column in matched
    _count_reports(found, scene, tracks, masks, {row for row, _ in pairs}, classes)


def _count_reports(
    found: Measured,
    scene: Scene,
    tracks: Sequence[Track],
    masks: list[NDArray[np.bool_]],
    right: set[int],
    classes: tuple[str, ...],
) -> None:
    crowds = [mask for mask, one in zip(masks, scene.objects, strict=True) if one.crowd]
    labelled = [mask for mask, one in zip(masks, scene.objects, strict=True) if not one.crowd]
    for row, track in enumerate(tracks):
        judged = row in right or (
            not _lies_on(track, crowds) and (scene.complete or _lies_on(track, labelled))
        )
        if judged:
            for name in ("pictures", f"class, {classes[track.class_id]}"):
                found.counts[f"{name}/reported"] += 1
                found.counts[f"{name}/reported right"] += row in right
        else:
            found.counts["pictures/reports not judged"] += 1


def overlap(tracks: Sequence[Track], masks: list[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """(tracks, masks) mask IoU."""
    if not tracks or not masks:
        return np.zeros((len(tracks), len(masks)))
    said = np.stack([track.mask.ravel() for track in tracks]).astype(np.float32)
    true = np.stack([mask.ravel() for mask in masks]).astype(np.float32)
    common = said @ true.T
    union = said.sum(1)[:, None] + true.sum(1)[None] - common
    return np.asarray(common / np.maximum(union, 1), np.float64)


def _lies_on(track: Track, masks: list[NDArray[np.bool_]]) -> bool:
    if not masks:
        return False
    inside = np.count_nonzero(track.mask & np.any(masks, axis=0))
    return bool(inside >= _INSIDE * track.area)


def _scaled(rle: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask at the size of the stored picture."""
    if not isinstance(rle, dict) or not isinstance(rle.get("counts"), str):
        raise InputError("masks of annotated pictures must be compressed run lengths")
    height, width = rle["size"]
    mask = decode(Rle((height, width), rle["counts"]))
    if mask.shape == size:
        return mask
    small = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small >= 0.5)
