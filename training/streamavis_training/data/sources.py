"""Sources of clips: any data set on disk, and other formats by readers of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from streamavis_training.data.pictures import PictureSource
from streamavis_training.data.places import find_one
from streamavis_training.data.videos import VideoSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamavis_training.data.sample import Source

__all__ = ["READERS", "read_other", "read_source"]

# Readers of other formats, by the word before the colon in `data.train=WORD:PATH`.
READERS: Final[dict[str, Callable[[Path], Source]]] = {}


def read_other(address: str) -> Source | None:
    """The source of `WORD:PATH` where `READERS` knows the word, else None.

    Raises:
        InputError: its reader cannot read it.
    """
    word, colon, path = address.partition(":")
    return READERS[word](Path(path)) if colon and word in READERS else None


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
