"""What material there is: records of cut-outs, sounds, backgrounds and annotated pictures.

A folder holds `index*.json` (`cutouts`, `sounds`, `backgrounds`) and `scenes/*.json` (COCO
instances with run lengths). Nothing is decoded here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from streamavis.errors import InputError
from streamavis.metrics.limits import UNREADABLE, FrameError, check_size, reason
from streamavis.metrics.runs import MaskError, areas

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "SPLITS",
    "TIERS",
    "Background",
    "Catalogue",
    "Credit",
    "Cutout",
    "Scene",
    "SceneObject",
    "Sound",
]

SPLITS = ("train", "val", "test")  # a group in several of them belongs to the last
TIERS = ("open", "check")  # licences that published weights may be trained on


@dataclass(frozen=True)
class Cutout:
    """One object cut out of a picture: an RGBA file."""

    path: Path
    label: str
    group: str
    licence: str
    tier: str
    split: str
    source: str
    height: int
    width: int
    truncated: tuple[bool, bool, bool, bool]  # left, top, right, bottom edge cut by its picture
    face: bool | None  # whether a face is visible; None: not stated


@dataclass(frozen=True)
class Sound:
    """One recording of one kind of source."""

    path: Path
    label: str
    name: str  # file name and subclass, to tell horns from engines
    group: str
    licence: str
    tier: str
    split: str
    source: str
    duration_s: float
    speech: bool  # rather than crying, singing or a cough


@dataclass(frozen=True)
class Background:
    """A picture without any object of the classes."""

    path: Path
    group: str
    licence: str
    tier: str
    split: str
    source: str
    room: bool  # the inside of a building, as behind a webcam


@dataclass(frozen=True)
class SceneObject:
    """One annotated object of a scene."""

    label: str
    crowd: bool  # the mask covers several objects
    area: float
    segmentation: dict[str, Any]  # COCO run lengths at the scene's `height`, `width`


@dataclass(frozen=True)
class Scene:
    """A whole picture with masks of its objects."""

    path: Path
    group: str
    licence: str
    tier: str
    split: str
    source: str
    height: int  # of the masks; the file may be smaller
    width: int
    complete: bool  # False: objects without a mask may be in view
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class Credit:
    """Files of one kind, origin and licence."""

    kind: str
    origin: str  # a repository or collection, without the single file's name
    licence: str
    tier: str
    files: int


class _Cutout(msgspec.Struct):
    file: str
    cls: str
    licence: str
    tier: str
    split: str
    group: str
    w: int
    h: int
    source: str = ""
    truncated: tuple[bool, bool, bool, bool] = (False, False, False, False)
    face_visible: bool | None = None


class _Sound(msgspec.Struct):
    file: str
    cls: str
    licence: str
    tier: str
    split: str
    group: str
    dur: float
    source: str = ""
    subclass: str = ""
    kind: str = ""


class _Background(msgspec.Struct):
    file: str
    licence: str
    tier: str
    split: str
    group: str = ""
    source: str = ""
    form: str = ""


class _Index(msgspec.Struct):
    cutouts: list[_Cutout] = []
    sounds: list[_Sound] = []
    backgrounds: list[_Background] = []


class _Image(msgspec.Struct):
    id: int
    file_name: str
    width: int
    height: int
    licence: str
    tier: str
    split: str
    group: str
    complete: bool
    source: str = ""


class _RunLengths(msgspec.Struct):
    size: list[int]
    counts: str


class _Annotation(msgspec.Struct):
    image_id: int
    category_id: int
    segmentation: _RunLengths
    area: float
    iscrowd: int = 0


class _Category(msgspec.Struct):
    id: int
    name: str


class _Scenes(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True)
class Catalogue:
    """Records of everything found, in the order of the files."""

    cutouts: tuple[Cutout, ...] = ()
    sounds: tuple[Sound, ...] = ()
    backgrounds: tuple[Background, ...] = ()
    scenes: tuple[Scene, ...] = ()

    @staticmethod
    def read(paths: Sequence[Path]) -> Catalogue:
        """Read folders of material, or single index and scene files.

        Args:
            paths: a folder stands for its `index*.json` and `scenes/*.json`.

        Raises:
            InputError: a file cannot be read, or a record is not as the format says.
        """
        found = Catalogue()
        for file in _files(paths):
            try:
                content = file.read_bytes()
            except OSError as error:
                raise InputError(f"{file}: cannot be read ({error.strerror})") from error
            part = _scenes(file, content) if b'"images"' in content else _index(file, content)
            found = Catalogue(
                found.cutouts + part.cutouts,
                found.sounds + part.sounds,
                found.backgrounds + part.backgrounds,
                found.scenes + part.scenes,
            )
        return found

    def choose(self, split: str, tiers: Iterable[str] = TIERS) -> Catalogue:
        """The records of one split whose tier is among `tiers`.

        A group that appears in several splits, whatever its tiers, belongs to the one that is held
        out furthest: test before val before train. No picture or voice is then in two splits.

        Raises:
            InputError: `split` is not one of `SPLITS`.
        """
        if split not in SPLITS:
            raise InputError(f"split is {split!r}; choose one of {', '.join(SPLITS)}")
        allowed, held = frozenset(tiers), self._split_of_group()

        def chosen(record: Cutout | Sound | Background | Scene) -> bool:
            mine = held[record.group]
            return record.split == split == mine and record.tier in allowed

        return Catalogue(
            tuple(r for r in self.cutouts if chosen(r)),
            tuple(r for r in self.sounds if chosen(r)),
            tuple(r for r in self.backgrounds if chosen(r)),
            tuple(r for r in self.scenes if chosen(r)),
        )

    def credits(self) -> list[Credit]:
        """Where the records are from and under which licence, most files first."""
        kinds: dict[str, Sequence[Cutout | Sound | Background | Scene]] = {
            "cut-outs": self.cutouts,
            "sounds": self.sounds,
            "backgrounds": self.backgrounds,
            "scenes": self.scenes,
        }
        counts = Counter(
            (kind, _origin(record.source), record.licence, record.tier)
            for kind, records in kinds.items()
            for record in records
        )
        return [Credit(*key, count) for key, count in counts.most_common()]

    def _split_of_group(self) -> dict[str, str]:
        held: dict[str, str] = {}
        records: list[Cutout | Sound | Background | Scene] = [*self.cutouts, *self.sounds]
        for record in [*records, *self.backgrounds, *self.scenes]:
            earlier = held.get(record.group, SPLITS[0])
            held[record.group] = max(earlier, record.split, key=SPLITS.index)
        return held


def _origin(source: str) -> str:
    """`COCO2017 image 42 (via owner/name)` -> `COCO2017 (via owner/name)`."""
    words, _, via = source.partition(" (via ")
    first = words.split(" ")[0].split("/")[0].rstrip(":")
    return f"{first} (via {via}" if via else first


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [*sorted(path.glob("index*.json")), *sorted(path.glob("scenes/*.json"))]
            if not inside:
                raise InputError(f"{path}: holds no index*.json and no scenes/*.json")
            files += inside
        else:
            files.append(path)
    return files


def _fail(file: Path, what: str) -> NoReturn:
    raise InputError(f"{file}: {what}")


def _check(file: Path, where: str, split: str, *sizes: float) -> None:
    if split not in SPLITS:
        _fail(file, f"{where}: field 'split' is {split!r}; expected one of {', '.join(SPLITS)}")
    if any(size <= 0 for size in sizes):
        _fail(file, f"{where}: size {sizes} must be above 0")


def _index(file: Path, content: bytes) -> Catalogue:
    try:
        index = msgspec.json.decode(content, type=_Index)
    except UNREADABLE as error:
        raise InputError(f"{file}: not an index of material: {reason(error)}") from error
    root = file.parent
    cutouts = []
    for c in index.cutouts:
        _check(file, c.file, c.split, c.w, c.h)
        facts = (c.cls, c.group, c.licence, c.tier, c.split, c.source, c.h, c.w)
        cutouts.append(Cutout(root / c.file, *facts, c.truncated, c.face_visible))
    sounds = []
    for s in index.sounds:
        _check(file, s.file, s.split, s.dur)
        name = f"{Path(s.file).name} {s.subclass}"
        # Spoken digits (fsdd) have no kind.
        speech = "speech" in s.kind or "fsdd" in name
        heard = (s.cls, name, s.group, s.licence, s.tier, s.split, s.source, s.dur)
        sounds.append(Sound(root / s.file, *heard, speech))
    backgrounds = []
    for b in index.backgrounds:
        _check(file, b.file, b.split)
        # Without a group of its own, the name says which picture it was: coco30.jpg.
        group = b.group or Path(b.file).stem
        room = "room" in b.form
        backgrounds.append(
            Background(root / b.file, group, b.licence, b.tier, b.split, b.source, room)
        )
    return Catalogue(tuple(cutouts), tuple(sounds), tuple(backgrounds))


def _scenes(file: Path, content: bytes) -> Catalogue:
    try:
        found = msgspec.json.decode(content, type=_Scenes)
    except UNREADABLE as error:
        raise InputError(f"{file}: not annotated pictures (COCO): {reason(error)}") from error
    names = {category.id: category.name for category in found.categories}
    images = {image.id: image for image in found.images}
    objects: dict[int, list[SceneObject]] = {image.id: [] for image in found.images}
    for n, a in enumerate(found.annotations):
        where = f"annotation {n}"
        if a.image_id not in images:
            _fail(file, f"{where}: field 'image_id' is {a.image_id}: no such picture")
        if a.category_id not in names:
            _fail(file, f"{where}: field 'category_id' is {a.category_id}: no such category")
        image = images[a.image_id]
        if a.segmentation.size != [image.height, image.width]:
            _fail(
                file,
                f"{where}: its mask is {a.segmentation.size} but {image.file_name} is"
                f" [{image.height}, {image.width}] (height, width)",
            )
        try:
            check_size(image.height, image.width)
            areas([a.segmentation.counts.encode()], image.height * image.width)
        except (FrameError, MaskError) as error:
            _fail(file, f"{where}: {error}")
        rle = {"size": a.segmentation.size, "counts": a.segmentation.counts}
        objects[a.image_id].append(SceneObject(names[a.category_id], bool(a.iscrowd), a.area, rle))
    scenes = []
    for image in found.images:
        _check(file, image.file_name, image.split, image.width, image.height)
        scenes.append(
            Scene(
                _beside(file, image.file_name),
                image.group,
                image.licence,
                image.tier,
                image.split,
                image.source,
                image.height,
                image.width,
                image.complete,
                tuple(objects[image.id]),
            )
        )
    return Catalogue(scenes=tuple(scenes))


def _beside(file: Path, name: str) -> Path:
    """`scenes/a.webp` of `DATA/scenes/scenes.json` is `DATA/scenes/a.webp`."""
    folder = file.parent
    return folder.parent / name if Path(name).parts[0] == folder.name else folder / name
