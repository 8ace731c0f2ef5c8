"""Results in the forms of other libraries: NumPy arrays, COCO, supervision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from streamavis.errors import MissingExtraError

if TYPE_CHECKING:
    import supervision as sv
    from numpy.typing import NDArray

    from streamavis.types import FrameResult

__all__ = ["to_coco", "to_numpy", "to_supervision"]


def to_numpy(result: FrameResult) -> dict[str, NDArray[Any]]:
    """Return one array for each property of the tracks, which stand in the order of `tracks`.

    Returns:
        `ids` (N,) int64, `labels` (N,) str, `class_ids` (N,) int32, `scores`, `sounding` and
        `visible` (N,) float32 in [0, 1] with NaN for unknown, `boxes` (N, 4) int32 as x, y, w, h,
        `centroids` (N, 2) float32 as x, y, `areas` (N,) int64 in pixels, `masks` (N, H, W) bool.
    """
    return {**_values(result), "masks": result.masks}


def to_coco(
    result: FrameResult, *, image_id: int | None = None, file_name: str = "", first_id: int = 1
) -> dict[str, Any]:
    """Return a COCO data set of one image, as plain values that JSON can hold.

    Args:
        result: one frame's.
        image_id: of the image; None: `seq`.
        file_name: of the picture, where there is one.
        first_id: of the annotations, which count up; to join the frames of a stream, go on after
            the last one.

    Returns:
        `images`, `annotations`, `categories` (of the tracks, `id` is `class_id`). An annotation
        has COCO's `bbox`, `area`, `segmentation` (compressed run lengths), `iscrowd`, and
        `score`, `track_id`, `sounding` and `visible` (null: unknown) beside them.
    """
    height, width = result.size
    image = result.seq if image_id is None else image_id
    return {
        "images": [{"id": image, "height": height, "width": width, "file_name": file_name}],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": track.class_id,
                "bbox": list(track.box),
                "area": track.area,
                "segmentation": {"size": [height, width], "counts": track.rle.counts},
                "iscrowd": 0,
                "score": track.score,
                "track_id": track.id,
                "sounding": track.sounding,
                "visible": track.visible,
            }
            for number, track in enumerate(result.tracks, start=first_id)
        ],
        "categories": [
            {"id": class_id, "name": label}
            for class_id, label in sorted({(one.class_id, one.label) for one in result.tracks})
        ],
    }


def to_supervision(result: FrameResult) -> sv.Detections:
    """Return the tracks as `supervision.Detections`.

    Returns:
        Boxes as x1, y1, x2, y2; `mask` is a `CompactMask`, which holds run lengths;
        `tracker_id`, `class_id` and `confidence` are set. `data` has `class_name`, `sounding` and
        `visible` (NaN: unknown); `metadata` has `stream`, `seq` and `capture_time_ns`.

    Raises:
        MissingExtraError: supervision is not installed.
    """
    try:
        import supervision as sv
    except ModuleNotFoundError as error:
        raise MissingExtraError("supervision", "supervision") from error
    arrays = _values(result)
    boxes = arrays["boxes"].astype(np.float32)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    # CompactMask counts the last row and column of a box as inside.
    crops = np.maximum(corners - [0, 0, 1, 1], 0)
    rles = [{"size": list(one.rle.size), "counts": one.rle.counts} for one in result.tracks]
    return sv.Detections(
        xyxy=corners,
        mask=sv.CompactMask.from_coco_rle(rles, crops, result.size),
        confidence=arrays["scores"],
        class_id=arrays["class_ids"].astype(int),
        tracker_id=arrays["ids"].astype(int),
        data={
            "class_name": arrays["labels"],
            "sounding": arrays["sounding"],
            "visible": arrays["visible"],
        },
        metadata={
            "stream": result.stream,
            "seq": result.seq,
            "capture_time_ns": result.capture_time_ns,
        },
    )


def _known(values: list[float | None]) -> NDArray[np.float32]:
    return np.array([math.nan if value is None else value for value in values], np.float32)


def _values(result: FrameResult) -> dict[str, NDArray[Any]]:
    """All but the masks, which take time to decode."""
    tracks = result.tracks
    return {
        "ids": np.array([track.id for track in tracks], np.int64),
        "labels": np.array([track.label for track in tracks], np.str_),
        "class_ids": np.array([track.class_id for track in tracks], np.int32),
        "scores": np.array([track.score for track in tracks], np.float32),
        "sounding": _known([track.sounding for track in tracks]),
        "visible": _known([track.visible for track in tracks]),
        "boxes": np.array([track.box for track in tracks], np.int32).reshape(-1, 4),
        "centroids": np.array([track.centroid for track in tracks], np.float32).reshape(-1, 2),
        "areas": np.array([track.area for track in tracks], np.int64),
    }
