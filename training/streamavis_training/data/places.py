"""Where the parts of a data set lie, and which of the known layouts it has.

AVISeg, YouTube-VIS, OVIS and our own clips:

    DIR/annotations.json, or DIR.json beside DIR
    DIR/JPEGImages/VIDEO/N.jpg    DIR/WAVAudios/VIDEO.wav (YouTube-VIS and OVIS have no sound)

COCO:

    ROOT/annotations/instances_SPLIT.json    ROOT/SPLIT/N.jpg
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from streamavis.errors import InputError
from streamavis.metrics.limits import UNREADABLE, reason

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ANNOTATIONS",
    "AUDIO",
    "FRAMES",
    "File",
    "Kind",
    "Place",
    "candidates",
    "find",
    "find_one",
    "opened",
]

ANNOTATIONS, FRAMES, AUDIO = "annotations.json", "JPEGImages", "WAVAudios"
Kind = Literal["AVISeg", "YouTube-VIS", "COCO"]
_PREFIXES = ("instances_", "annotations_", "ytvis_", "ovis_")
_PROBED = 3  # files that are probed to find the pictures


class File(msgspec.Struct):
    """A file of annotations, its entries not yet read."""

    categories: list[msgspec.Raw]
    videos: list[msgspec.Raw] | None = None
    images: list[msgspec.Raw] | None = None
    annotations: list[msgspec.Raw] | None = None  # absent in a test set


class _Files(msgspec.Struct):
    file_names: list[str] = []  # of a video
    file_name: str = ""  # of a picture


@dataclass(frozen=True)
class Place:
    """One split of a data set on disk."""

    kind: Kind
    annotations: Path
    pictures: Path  # file names in the annotations are below it
    sounds: Path | None  # holds VIDEO.wav; None: the data set has no sound
    file: File = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """What to call the split: after its file, or its folder where the file is as all are."""
        ours = self.annotations.name == ANNOTATIONS
        return self.annotations.parent.name if ours else self.annotations.stem


def find(path: Path) -> list[Place]:
    """Find the splits of a data set.

    Args:
        path: a file of annotations, the folder of a split, or the folder that holds splits.

    Raises:
        InputError: nothing is there, or a file is not JSON of a known layout.
    """
    return [opened(annotations, base) for annotations, base in candidates(path)]


def candidates(path: Path) -> list[tuple[Path, Path]]:
    """Files of annotations, each with the folder to look for its pictures in.

    Raises:
        InputError: there is none.
    """
    if path.is_file():
        return [(path, path.parent)]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; name a data set")
    path = path.resolve()
    for beside in (path / ANNOTATIONS, path.with_name(f"{path.name}.json")):
        if beside.is_file():
            return [(beside, path)]
    for folder, pattern in (
        (path, "*.json"),
        (path / "annotations", "instances_*.json"),
        (path / "annotations", "*.json"),
        (path.parent / "annotations", f"instances_{path.name}.json"),
    ):
        if files := [file for file in sorted(folder.glob(pattern)) if not _is_list(file)]:
            return [(file, path) for file in files]
    raise InputError(
        f"{path}: no annotations found; expected {ANNOTATIONS} in it, {path.name}.json beside it,"
        " or annotations/instances_SPLIT.json"
    )


def find_one(path: Path) -> Place:
    """Find the one split that `path` names.

    Raises:
        InputError: as `find`, or there are several.
    """
    places = find(path)
    if len(places) > 1:
        names = ", ".join(str(place.annotations) for place in places)
        raise InputError(f"{path}: holds several splits ({names}); name one of these files")
    return places[0]


def opened(annotations: Path, base: Path) -> Place:
    """Read a file of annotations but for its entries, and find its pictures below `base`.

    Raises:
        InputError: it is not JSON of a known layout.
    """
    try:
        file = msgspec.json.decode(annotations.read_bytes(), type=File)
    except OSError as error:
        raise InputError(f"{annotations}: cannot be read ({error.strerror})") from error
    except UNREADABLE as error:
        raise InputError(f"{annotations}: not a data set's annotations: {reason(error)}") from error
    if (file.videos is None) == (file.images is None):
        raise InputError(
            f"{annotations}: not a data set's annotations: needs 'videos' (AVISeg, YouTube-VIS,"
            " OVIS) or 'images' (COCO)"
        )
    pictures = _pictures(annotations, base, _first_files(file))
    home = pictures.parent if pictures.name == FRAMES else pictures
    sounds = home / AUDIO
    if file.images is not None:
        return Place("COCO", annotations, pictures, None, file)
    if not sounds.is_dir():
        return Place("YouTube-VIS", annotations, pictures, None, file)
    return Place("AVISeg", annotations, pictures, sounds, file)


def _is_list(file: Path) -> bool:
    """A list is no annotations; results of a network, which may lie beside them, are one."""
    with file.open("rb") as opened_file:
        return opened_file.read(64).lstrip().startswith(b"[")


def _first_files(file: File) -> list[str]:
    """Names of some pictures; the reader names what is wrong with entries that have none."""
    names: list[str] = []
    for entry in (file.videos or file.images or [])[:_PROBED]:
        with suppress(*UNREADABLE):
            files = msgspec.json.decode(entry, type=_Files)
            names += [*files.file_names[:1], *([files.file_name] if files.file_name else [])]
    return names


def _pictures(annotations: Path, base: Path, names: list[str]) -> Path:
    """The first folder that holds one of the files; where none does, the usual one."""
    stem = annotations.stem
    splits = [stem] + [stem.removeprefix(p) for p in _PREFIXES if stem.startswith(p)]
    homes = [base, *(base / split for split in splits)]
    homes += [base.parent / split for split in splits] + [base.parent]
    folders = [folder for home in homes for folder in (home / FRAMES, home)]
    for folder in folders:
        if any((folder / name).is_file() for name in names):
            return folder
    return next((folder for folder in folders if folder.is_dir()), folders[0])
