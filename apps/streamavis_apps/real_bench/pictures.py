"""Whole annotated pictures: which objects are found, which reports are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pycocotools import mask as coco

from streamavis.errors import InputError
from streamavis.masks import encode
from streamavis_apps.real_bench.labels import class_of, group_of, right_classes
from streamavis_apps.real_bench.measured import Measured, assign
from streamavis_apps.real_bench.sheet import tile_of
from streamavis_apps.real_bench.streams import STILL_FRAMES, watch_still

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.types import Track
    from streamavis_apps.real_bench.measured import Setting
    from streamavis_apps.real_bench.pack import Scene

__all__ = ["SceneUnit"]

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
    shares = [float(coco.area(mask)) / (size[0] * size[1]) for mask in single]
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
    masks: list[dict[str, Any]],
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


def overlap(tracks: Sequence[Track], masks: list[dict[str, Any]]) -> NDArray[np.float64]:
    """(tracks, masks) mask IoU."""
    if not tracks or not masks:
        return np.zeros((len(tracks), len(masks)))
    return np.array(coco.iou([_packed(t) for t in tracks], masks, [0] * len(masks)))


def _lies_on(track: Track, masks: list[dict[str, Any]]) -> bool:
    if not masks:
        return False
    union = coco.merge(masks)
    inside = float(coco.area(coco.merge([_packed(track), union], intersect=True)))
    return inside >= _INSIDE * track.area


def _packed(track: Track) -> dict[str, Any]:
    return {"size": list(track.rle.size), "counts": track.rle.counts.encode("ascii")}


def _scaled(rle: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """A mask at the size of the stored picture."""
    stored = rle
    if isinstance(rle, list) or isinstance(rle["counts"], list):
        raise InputError("masks of pictures must be compressed run lengths")
    if isinstance(rle["counts"], str):
        stored = {"size": rle["size"], "counts": rle["counts"].encode("ascii")}
    if tuple(rle["size"]) == size:
        return stored
    dense = coco.decode(stored).astype(np.float32)
    small = cv2.resize(dense, size[::-1], interpolation=cv2.INTER_AREA) >= 0.5
    packed = encode(small)
    return {"size": list(packed.size), "counts": packed.counts.encode("ascii")}
