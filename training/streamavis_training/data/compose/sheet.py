"""Contact sheets: frames with outlines and labels, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis_training.data.sample import Sample

__all__ = ["contact_sheet", "drawn"]

_SILENT, _SOUNDING, _UNKNOWN, _TEXT = (255, 70, 60), (60, 255, 60), (160, 160, 160), (255, 255, 0)


def drawn(
    sample: Sample, frame: int, classes: Sequence[str], caption: str = ""
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: outlines of objects, green where they sound; ignored pixels hatched."""
    picture = sample.frames[frame].copy()
    if sample.ignore is not None:
        rows, columns = np.indices(picture.shape[:2])
        picture[sample.ignore[frame] & ((rows + columns) % 8 == 0)] = _UNKNOWN
    for n, class_id in enumerate(sample.class_ids):
        mask = (sample.masks[frame, n] > 127).astype(np.uint8)
        if not mask.any():
            continue
        seen, sounds = sample.visible[frame, n] == 1, sample.sounding[frame, n] == 1
        colour = (_SOUNDING if sounds else _SILENT) if seen else _UNKNOWN
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, colour, 1)
        x, y, _, _ = cv2.boundingRect(mask)
        cv2.putText(picture, classes[class_id], (x, max(y + 9, 9)), 0, 0.33, colour, 1)
    heard = sample.heard[frame]
    names = [
        f"{classes[k]}{'' if heard[k] == 1 else '?'}" for k in map(int, np.flatnonzero(heard != 0))
    ]
    text = f"{caption} sound: {', '.join(names) or '-'}"
    cv2.putText(picture, text, (2, picture.shape[0] - 4), 0, 0.33, (0, 0, 0), 2)
    cv2.putText(picture, text, (2, picture.shape[0] - 4), 0, 0.33, _TEXT, 1)
    return picture


def contact_sheet(tiles: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Pictures of one size in rows, two pixels apart."""
    padded = [np.pad(tile, ((0, 2), (0, 2), (0, 0))) for tile in tiles]
    blank = np.zeros_like(padded[0])
    padded += [blank] * (-len(padded) % columns)
    rows = [np.hstack(padded[i : i + columns]) for i in range(0, len(padded), columns)]
    return np.vstack(rows)
