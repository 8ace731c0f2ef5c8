"""Annotated single pictures on disk, in COCO's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from streamavis_training.data.layout import Entries, Report, fail

if TYPE_CHECKING:
    from pathlib import Path

    from streamavis_training.data.places import Place

__all__ = ["Outline", "Picture", "read_place"]


@dataclass(slots=True)
class Outline:
    """One object of a picture."""

    id: int
    class_id: int  # 0-based place of its category in the file
    segmentation: bytes  # JSON of run lengths or polygons
    crowd: bool  # a group without separate members


@dataclass(slots=True)
class Picture:
    """One picture and its objects."""

    id: int
    path: Path
    height: int
    width: int
    outlines: list[Outline]


class _Image(msgspec.Struct):
    id: int
    file_name: str
    height: int
    width: int


class _Annotation(msgspec.Struct):
    id: int
    image_id: int
    category_id: int
    segmentation: msgspec.Raw
    iscrowd: int | bool = 0


def read_place(place: Place, report: Report = fail) -> tuple[list[str], list[Picture]]:
    """The labels and the pictures of a split; the picture files stay on disk.

    Args:
        place: COCO's.
        report: called with each problem; by default the first one raises `InputError`.
    """
    if place.file.images is None:
        report(place.annotations, "", "holds videos, not pictures; it is not COCO's layout")
    entries = Entries(place, report)
    pictures: dict[int, Picture] = {}
    skipped: set[int] = set()
    for image in entries.read(place.file.images or [], _Image, "image"):
        where = f"image {image.id}"
        if image.id in pictures:
            entries.wrong(where, "its id occurs twice")
            continue
        path = place.pictures / image.file_name
        if entries.has(where, path) and entries.sized(where, image.height, image.width):
            pictures[image.id] = Picture(image.id, path, image.height, image.width, [])
        else:
            skipped.add(image.id)
    known: set[int] = set()
    for annotation in entries.read(place.file.annotations or [], _Annotation, "annotation"):
        where = f"annotation {annotation.id}"
        if annotation.id in known:
            entries.wrong(where, "its id occurs twice")
            continue
        known.add(annotation.id)
        if annotation.image_id in skipped:  # which is reported
            continue
        if annotation.image_id not in pictures:
            named = annotation.image_id
            entries.wrong(where, f"field 'image_id' names image {named}: no such image")
            continue
        class_id = entries.class_id(where, annotation.category_id)
        if class_id is not None:
            stored = bytes(annotation.segmentation)
            outline = Outline(annotation.id, class_id, stored, bool(annotation.iscrowd))
            pictures[annotation.image_id].outlines.append(outline)
    return entries.labels, list(pictures.values())
