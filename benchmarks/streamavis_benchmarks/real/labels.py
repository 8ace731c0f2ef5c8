"""Labels of the data as classes of a model, which may have coarser ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GROUPS", "class_of", "group_of", "right_classes"]

# Groups of issue-style rows: what is asked for together.
GROUPS = {
    "person": ("person",),
    "dog, cat, bird": ("dog", "cat", "bird"),
    "car, bus, truck, motorcycle": ("car", "bus", "truck", "motorcycle", "vehicle"),
}
# What a label is called by a model that does not know it, the closest first.
_COARSER = {
    "bus": ("vehicle", "car"),
    "truck": ("vehicle", "car"),
    "vehicle": ("car",),
    "rooster": ("bird",),
    "chicken": ("bird",),
    "helicopter": ("airplane",),
    "electric guitar": ("guitar",),
    "ukulele": ("guitar",),
    "mandolin": ("guitar",),
    "banjo": ("guitar",),
    "trumpet": ("brass",),
    "tuba": ("brass",),
    "trombone": ("brass",),
    "horn": ("brass",),
    "baby": ("person",),
}
_ANY_VEHICLE = ("car", "bus", "truck", "motorcycle", "vehicle", "train")


def class_of(label: str, classes: Sequence[str]) -> int:
    """Row of `classes` for a label of the data; -1: the model has no such class."""
    names = [_plain(name) for name in classes]
    for name in (_plain(label), *_COARSER.get(_plain(label), ())):
        if name in names:
            return names.index(name)
    return -1


def right_classes(label: str, classes: Sequence[str]) -> frozenset[int]:
    """Every class under which an object with this label is right.

    A "vehicle" of the data is one whose kind is not said.
    """
    if _plain(label) == "vehicle":
        found = {class_of(name, classes) for name in _ANY_VEHICLE}
    else:
        found = {class_of(label, classes)}
    return frozenset(found - {-1})


def group_of(label: str) -> str | None:
    """The row of the table that an object counts in."""
    return next((name for name, labels in GROUPS.items() if _plain(label) in labels), None)


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ").strip()
