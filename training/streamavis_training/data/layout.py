"""Videos of data sets on disk: AVISeg, YouTube-VIS, OVIS, composed and procedural clips.

`places` says where the files lie. Four fields go beyond AVISeg's: a video's `fps` (else 1) and
`off_screen`, an annotation's `visible` and `sounding`. Without the last two a mask means that the
object sounds, and what is seen but silent is unknown. Without `fps`, frame i of AVISeg is stamped
i + 0.96 s: its sound is then the same 0.96 s as in AVISM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

import msgspec
import numpy as np
from pycocotools import mask as coco

from streamavis.errors import InputError
from streamavis.metrics.limits import UNREADABLE, FrameError, check_size, reason
from streamavis.metrics.rasters import truth_masks
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES
from streamavis_training.data.places import ANNOTATIONS, AUDIO, FRAMES, find_one

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis_training.data.places import Place

__all__ = [
    "ANNOTATIONS",
    "AUDIO",
    "FRAMES",
    "Entries",
    "Instance",
    "Report",
    "Video",
    "decoded",
    "fail",
    "read",
    "read_place",
]

_AVISEG_FPS = 1.0
_AVISEG_SHIFT_S = WINDOW_SAMPLES / SAMPLE_RATE  # 0.96
_YOUTUBE_VIS_FPS = 6.0  # every fifth frame of 30 a second
_NS = 1_000_000_000
_Entry = TypeVar("_Entry", bound=msgspec.Struct)


class Report(Protocol):
    """Takes what is wrong with a file and where in it; what is wrong is left out after that."""

    def __call__(self, file: Path, where: str, what: str) -> None: ...


def fail(file: Path, where: str, what: str) -> NoReturn:
    """Report by raising: for readers that need everything to be right."""
    raise InputError(f"{file}: {where}: {what}" if where else f"{file}: {what}")


def decoded(stored: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) 0 or 1 of one mask as it stands in a file: polygons or run lengths.

    Raises:
        FrameError: malformed or of another size.
    """
    mask = truth_masks(b"[" + stored + b"]", size, 1).masks[0]
    if mask is None:
        return np.zeros(size, np.uint8)
    return np.asarray(coco.decode({"size": list(size), "counts": mask}), np.uint8)


@dataclass
class Instance:
    """One object through a video of T frames."""

    id: int
    label: str
    class_id: int  # 0-based place of its category in the file
    sounding: NDArray[np.bool_] | None  # (T,); None: the data set has no sound
    visible: NDArray[np.bool_] | None  # (T,); None: unknown where it does not sound
    boxes: list[list[float] | None]  # (T) x, y, w, h in pixels
    segmentations: list[bytes | None]  # (T) JSON of run lengths or polygons, None without a mask
    size: tuple[int, int]  # height, width
    crowd: bool = False
    unboxed: int = 0  # frames with a mask but no box, which do not count

    def mask(self, frame: int) -> NDArray[np.bool_]:
        """(H, W) bool of one frame, empty where there is none; decoded on every call.

        Raises:
            InputError: the mask is malformed; names annotation and frame.
        """
        stored = self.segmentations[frame]
        if stored is None:
            return np.zeros(self.size, bool)
        try:
            return decoded(stored, self.size).astype(bool)
        except FrameError as error:
            what = str(error).removeprefix("frame 0: ")
            raise InputError(
                f"annotation {self.id}, frame {frame}: {what}; see `streamavis data check`"
            ) from error


@dataclass
class Video:
    """One clip: pictures, sound and what is known of its objects."""

    id: int
    name: str
    frames: list[Path]  # (T)
    wav: Path | None  # None: the data set has no sound
    fps: float
    height: int
    width: int
    instances: list[Instance]
    off_screen: NDArray[np.bool_] | None  # (T, K) classes heard from out of view; None: unknown
    shift_s: float = 0.0  # frame i is the picture at time i / fps + shift_s

    @property
    def times_ns(self) -> NDArray[np.int64]:
        """(T,) when each frame is; the sound starts at 0."""
        times_s = np.arange(len(self.frames)) / self.fps + self.shift_s
        return np.round(times_s * _NS).astype(np.int64)


class _Category(msgspec.Struct):
    id: int
    name: str


class _OffScreen(msgspec.Struct):
    category_id: int
    sounding: list[bool]


class _Video(msgspec.Struct):
    id: int
    file_names: list[str]
    height: int
    width: int
    length: int | None = None
    fps: float | None = None
    off_screen: list[_OffScreen] | None = None


class _Annotation(msgspec.Struct):
    id: int
    video_id: int
    category_id: int
    bboxes: list[list[float] | None]
    segmentations: list[msgspec.Raw]
    iscrowd: int | bool = 0
    visible: list[bool] | None = None
    sounding: list[bool] | None = None


class Entries:
    """Reads the entries of a file one by one; what is wrong with one is reported."""

    def __init__(self, place: Place, report: Report) -> None:
        self.place, self._report = place, report
        self._folders: dict[Path, frozenset[str]] = {}
        self.labels: list[str] = []
        self.classes: dict[int, int] = {}  # category id -> place in `labels`
        names: set[str] = set()
        for category in self.read(place.file.categories, _Category, "category"):
            if category.id in self.classes:
                self.wrong(f"category {category.name!r}", f"id {category.id} occurs twice")
                continue
            if category.name in names:
                self.wrong(f"category {category.id}", f"name {category.name!r} occurs twice")
            names.add(category.name)
            self.classes[category.id] = len(self.labels)
            self.labels.append(category.name)

    def wrong(self, where: str, what: str) -> None:
        self._report(self.place.annotations, where, what)

    def read(self, raw: list[msgspec.Raw], kind: type[_Entry], what: str) -> list[_Entry]:
        decoder = msgspec.json.Decoder(kind)
        entries = []
        for number, entry in enumerate(raw):
            try:
                entries.append(decoder.decode(entry))
            except UNREADABLE as error:
                self.wrong(f"{what} number {number} of the file", reason(error))
        return entries

    def class_id(self, where: str, category_id: int) -> int | None:
        found = self.classes.get(category_id)
        if found is None:
            known = sorted(self.classes)
            self.wrong(where, f"field 'category_id' is {category_id}; expected one of {known}")
        return found

    def has(self, where: str, path: Path) -> bool:
        """Whether a file is there; each folder is listed once."""
        folder = path.parent
        if folder not in self._folders:
            listed = folder.iterdir() if folder.is_dir() else ()
            self._folders[folder] = frozenset(path.name for path in listed)
        if path.name in self._folders[folder]:
            return True
        self.wrong(where, f"file {path} is missing; restore it or remove the entry")
        return False

    def sized(self, where: str, height: int, width: int) -> bool:
        try:
            check_size(height, width)
        except FrameError as error:
            self.wrong(where, str(error))
            return False
        return True


class _Reader(Entries):
    """Turns a file into videos."""

    def __init__(self, place: Place, report: Report) -> None:
        super().__init__(place, report)
        self.videos: dict[int, Video] = {}
        names: set[str] = set()
        for entry in self.read(place.file.videos or [], _Video, "video"):
            where = f"video {entry.id}"
            if entry.id in self.videos:
                self.wrong(where, "its id occurs twice")
            elif (video := self._video(where, entry)) is not None:
                if video.name in names:
                    self.wrong(where, f"another video has the same folder of frames, {video.name}")
                names.add(video.name)
                self.videos[entry.id] = video
        known: set[int] = set()
        skipped = {entry.id for entry in _ids(place.file.videos or [])} - self.videos.keys()
        for annotation in self.read(place.file.annotations or [], _Annotation, "annotation"):
            if annotation.id in known:
                self.wrong(f"annotation {annotation.id}", "its id occurs twice")
            elif annotation.video_id not in skipped:  # which are reported
                self._annotate(annotation)
            known.add(annotation.id)

    def _video(self, name: str, video: _Video) -> Video | None:
        length = len(video.file_names)
        if not length or video.length not in (None, length):
            self.wrong(
                name,
                f"field 'length' is {video.length} but 'file_names' has {length} entries;"
                " they must agree and not be 0",
            )
            return None
        if video.fps is not None and not 0 < video.fps < float("inf"):
            self.wrong(name, f"field 'fps' is {video.fps}; must be positive")
            return None
        frames = [self.place.pictures / file_name for file_name in video.file_names]
        sounds = self.place.sounds
        wav = None if sounds is None else sounds / f"{frames[0].parent.name}.wav"
        there = [self.has(name, path) for path in (*frames, wav) if path is not None]
        if not all(there) or not self.sized(name, video.height, video.width):
            return None
        standard = _AVISEG_FPS if sounds is not None else _YOUTUBE_VIS_FPS
        return Video(
            id=video.id,
            name=frames[0].parent.name,
            frames=frames,
            wav=wav,
            fps=video.fps or standard,
            height=video.height,
            width=video.width,
            instances=[],
            off_screen=self._off_screen(name, video),
            shift_s=_AVISEG_SHIFT_S if video.fps is None and sounds is not None else 0.0,
        )

    def _off_screen(self, name: str, video: _Video) -> NDArray[np.bool_] | None:
        if video.off_screen is None:
            return None
        heard = np.zeros((len(video.file_names), len(self.labels)), bool)
        for source in video.off_screen:
            class_id = self.class_id(f"{name}: off_screen", source.category_id)
            if class_id is not None and self._fits(
                f"{name}: off_screen", "sounding", source.sounding, len(heard)
            ):
                heard[:, class_id] |= source.sounding
        return heard

    def _annotate(self, annotation: _Annotation) -> None:
        name = f"annotation {annotation.id}"
        if annotation.video_id not in self.videos:
            self.wrong(name, f"field 'video_id' names video {annotation.video_id}: no such video")
            return
        video = self.videos[annotation.video_id]
        name = f"video {video.name}, {name}"
        lists = ("bboxes", "segmentations", "visible", "sounding")
        fit = [self._fits(name, k, getattr(annotation, k), len(video.frames)) for k in lists]
        class_id = self.class_id(name, annotation.category_id)
        if not all(fit) or class_id is None:
            return
        # AVISeg's rule: an object is there only where it has both a box and a mask.
        stored = [None if bytes(m) == b"null" else bytes(m) for m in annotation.segmentations]
        boxes = annotation.bboxes
        masks = [m if box is not None else None for box, m in zip(boxes, stored, strict=True)]
        has_mask = np.array([mask is not None for mask in masks])
        sounding, visible = annotation.sounding, annotation.visible
        if visible is None and video.wav is None:
            visible = has_mask.tolist()  # without sound, all objects in view are labelled
        silent = None if video.wav is None else has_mask
        video.instances.append(
            Instance(
                id=annotation.id,
                label=self.labels[class_id],
                class_id=class_id,
                sounding=silent if sounding is None else np.array(sounding, bool),
                visible=None if visible is None else np.array(visible, bool),
                boxes=boxes,
                segmentations=masks,
                size=(video.height, video.width),
                crowd=bool(annotation.iscrowd),
                unboxed=masks.count(None) - stored.count(None),
            )
        )

    def _fits(self, name: str, key: str, values: list[Any] | None, length: int) -> bool:
        if values is not None and len(values) != length:
            self.wrong(name, f"field '{key}' has {len(values)} entries for {length} frames")
            return False
        return True


class _Id(msgspec.Struct):
    id: int


def _ids(raw: list[msgspec.Raw]) -> list[_Id]:
    """The ids of entries that may be malformed otherwise."""
    found = []
    for entry in raw:
        try:
            found.append(msgspec.json.decode(entry, type=_Id))
        except UNREADABLE:
            continue  # it has none that an annotation could name
    return found


def read_place(place: Place, report: Report = fail) -> tuple[list[str], list[Video]]:
    """The labels and the videos of a split; pictures and sound stay on disk.

    Args:
        place: not COCO's.
        report: called with each problem; by default the first one raises `InputError`.
    """
    if place.file.videos is None:
        report(place.annotations, "", "holds pictures, not videos; read it as COCO")
    reader = _Reader(place, report)
    return reader.labels, list(reader.videos.values())


def read(folder: Path) -> list[Video]:
    """Read a data set; pictures and sound stay on disk.

    Args:
        folder: holds `JPEGImages` and, where there is sound, `WAVAudios`, and `annotations.json`
            in it or FOLDER.json beside it; or the annotation file itself. See `places`.

    Raises:
        InputError: a file is missing or not as the layout says; names file, video and field.
    """
    return read_place(find_one(folder))[1]
