"""A source of clips for any data set on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis_training.data.pictures import PictureSource
from streamavis_training.data.places import find_one
from streamavis_training.data.videos import VideoSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streamavis_training.data.sample import Source

__all__ = ["read_source"]


def read_source(
    path: Path, classes: tuple[str, ...], *, aliases: Mapping[str, str] | None = None
) -> Source:
    """Read a split in the layout of AVISeg, YouTube-VIS, OVIS or COCO.

    Args:
        path: its folder or its file of annotations, see `places`.
        classes: of the task; objects of other classes become ignored area.
        aliases: label -> class, beside the usual synonyms.

    Raises:
        InputError: it is not as its layout says, or nothing in it can be learned from.
    """
    place = find_one(path)
    if place.kind == "COCO":
        return PictureSource.read(place, classes, aliases=aliases)
    return VideoSource.read(place, classes, aliases=aliases)
