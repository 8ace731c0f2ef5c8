"""Ground truth and predictions from their JSON files, checked before anything is counted.

Ground truth is AVISeg's: `categories`, `videos`, and `annotations` whose `segmentations` hold per
frame `null`, polygons, a box, or run lengths. Three fields go beyond it: a video's `fps` (else 1,
as AVISeg has it) or `times_s`, and an annotation's `sounding`, which clears the masks of silent
frames. Predictions are a list of `{video_id, category_id, score, segmentations}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import numpy as np

from streamavis.errors import InputError
from streamavis.metrics.data import Category, GroundTruth, MaskTrack, Predictions, TruthVideo
from streamavis.metrics.limits import (
    MAX_CATEGORIES,
    UNREADABLE,
    FrameError,
    check_count,
    check_size,
    first_repeated,
    reason,
)
from streamavis.metrics.nonfinite import first_nonfinite
from streamavis.metrics.rasters import TruthMasks, predicted_masks, truth_masks

__all__ = ["Map", "read_predictions", "read_truth"]

_Entry = TypeVar("_Entry", bound=msgspec.Struct)
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # as the built-in `map`
_AVISEG_FPS = 1.0
_INT64 = 1 << 63
_Id = Annotated[int, msgspec.Meta(ge=-_INT64, le=_INT64 - 1)]


class _Truth(msgspec.Struct):
    categories: list[msgspec.Raw]
    videos: list[msgspec.Raw]
    annotations: list[msgspec.Raw]


class _Category(msgspec.Struct):
    id: _Id
    name: str


class _Video(msgspec.Struct):
    id: _Id
    file_names: list[str]
    height: int | None = None
    width: int | None = None
    fps: float | None = None
    times_s: list[float] | None = None


class _Annotation(msgspec.Struct):
    video_id: _Id
    category_id: _Id
    segmentations: msgspec.Raw
    id: _Id | None = None
    iscrowd: int | bool | None = None
    height: int | None = None
    width: int | None = None
    areas: list[float | None] | None = None
    sounding: list[bool] | None = None


class _Prediction(msgspec.Struct):
    video_id: _Id
    category_id: _Id
    score: float
    segmentations: msgspec.Raw


def read_truth(path: Path | str, *, apply: Map = map) -> GroundTruth:
    """Read a ground-truth file.

    Args:
        path: the file.
        apply: `map`, or one that works in several processes and keeps the order: polygons take
            most of the time.

    Raises:
        InputError: it cannot be read or is not well-formed; names file, video, track and frame.
    """
    reader = _Reader(Path(path))
    file = reader.decode(reader.content(), _Truth, "a ground truth with categories, videos, ...")
    reader.check_categories(len(file.categories))
    categories = [
        Category(entry.id, entry.name)
        for entry in reader.entries(file.categories, _Category, "category")
    ]
    reader.unique("category id", [category.id for category in categories])
    reader.unique("category name", [category.name for category in categories])
    videos = [reader.video(entry) for entry in reader.entries(file.videos, _Video, "video")]
    reader.unique("video id", [video.id for video in videos])
    reader.unique("video name", [video.name for video in videos])
    reader.annotations(file.annotations, videos, categories, apply)
    videos.sort(key=lambda video: video.name)
    return GroundTruth(reader.source, categories, videos, reader.unreadable)


def read_predictions(
    path: Path | str, truth: GroundTruth, *, exact_length: bool = True
) -> Predictions:
    """Read predictions for `truth`; those of videos it does not have are left out.

    Args:
        path: the file.
        truth: what they are predictions for.
        exact_length: refuse a track that is longer than its video. The public evaluator takes
            such a track, and counts what is beyond the end in the track's union.

    Raises:
        InputError: it cannot be read or is not well-formed; names file, video, track and frame.
    """
    reader = _Reader(Path(path))
    reader.names = {video.id: video.name for video in truth.videos}
    entries = reader.decode(reader.content(), list[msgspec.Raw], "a list of predictions")
    videos = {video.id: video for video in truth.videos}
    tracks: dict[int, list[MaskTrack]] = {}
    for number, entry in enumerate(reader.entries(entries, _Prediction, "track")):
        video = videos.get(entry.video_id)
        if video is not None:
            known = tracks.setdefault(video.id, [])
            known.append(reader.prediction(entry, number, len(known), video, exact_length))
    return Predictions(reader.source, tracks)


class _Reader:
    """One file: what it says, and errors that name the place."""

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        self.unreadable: str | None = None
        self._path = path
        self.names: dict[int, str] = {}  # video id -> name
        self._unsized: dict[int, tuple[int, int]] = {}  # video id -> size of its predictions

    def content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.source}: cannot be read ({error.strerror})") from error

    def decode(self, content: bytes, kind: Any, expected: str) -> Any:
        try:
            return msgspec.json.decode(content, type=kind)
        except UNREADABLE as error:
            place = first_nonfinite(content, self.names)
            if place is not None:
                raise InputError(f"{self.source}: {place}, expected a number") from error
            raise InputError(f"{self.source}: not {expected}: {reason(error)}") from error

    def entries(self, raw: list[msgspec.Raw], kind: type[_Entry], what: str) -> list[_Entry]:
        decoder = msgspec.json.Decoder(kind)
        decoded = []
        for number, entry in enumerate(raw):
            try:
                decoded.append(decoder.decode(entry))
            except UNREADABLE as error:
                video = _video_id_of(entry)
                place = what if video is None else f"video {self.names.get(video, video)!r}, {what}"
                raise InputError(f"{self.source}: {place} {number}: {reason(error)}") from error
        return decoded

    def check_categories(self, count: int) -> None:
        try:
            check_count("categories", count, MAX_CATEGORIES)
        except FrameError as error:
            raise InputError(f"{self.source}: {error}") from error

    def unique(self, what: str, values: list[Any], where: str = "") -> None:
        twice = first_repeated(values)
        if twice is not None:
            raise InputError(f"{self.source}: {where}{what} {twice!r} occurs more than once")

    def video(self, entry: _Video) -> TruthVideo:
        if not entry.file_names:
            raise InputError(f"{self.source}: video {entry.id} has no file_names")
        name = entry.file_names[0].partition("/")[0]
        length = len(entry.file_names)
        with np.errstate(over="ignore"):  # of a rate next to 0: refused below
            times_s = np.arange(length) / (entry.fps if entry.fps else _AVISEG_FPS)
        if entry.times_s is not None:
            times_s = np.array(entry.times_s)
        wrong = len(times_s) != length or not np.isfinite(times_s).all() or (entry.fps or 1) <= 0
        if wrong or (np.diff(times_s) <= 0).any():
            self._fail(
                f"video {name!r}",
                f"fps must be positive, or times_s hold {length} ascending numbers",
            )
        size = None
        if entry.height is not None and entry.width is not None:
            size = self._sized(f"video {name!r}", entry.height, entry.width)
        return TruthVideo(entry.id, name, entry.file_names, times_s, size, [])

    def annotations(
        self,
        raw: list[msgspec.Raw],
        videos: list[TruthVideo],
        categories: list[Category],
        apply: Map,
    ) -> None:
        """Give each video its tracks, and the size its annotations state."""
        by_id = {video.id: video for video in videos}
        self.names = {video.id: video.name for video in videos}
        known = {category.id for category in categories}
        stated: set[int] = set()  # videos whose size an annotation has given
        entries = self.entries(raw, _Annotation, "track")
        places = []
        for number, entry in enumerate(entries):
            video = by_id.get(entry.video_id)
            if video is None:
                self._fail(f"track {number}", f"unknown video_id {entry.video_id}")
            place = f"video {video.name!r}, track {number}"
            place += "" if entry.id is None else f" (id {entry.id})"
            places.append(place)
            if entry.category_id not in known:
                self._fail(place, f"unknown category_id {entry.category_id}")
            if entry.id is not None and entry.id < 0:
                self._fail(place, "a track id must not be negative")
            if entry.height is not None and entry.width is not None:
                size = self._sized(place, entry.height, entry.width)
                if video.id in stated and size != video.size:
                    self._fail(place, f"size {size}, but {video.size} in the tracks before it")
                video.size = size
                stated.add(video.id)
            elif video.size is None:
                self._fail(place, "neither track nor video has a height and a width")
            self._check_lengths(place, entry, len(video.frames))
        of_entry = [by_id[entry.video_id] for entry in entries]
        tasks = (
            (bytes(entry.segmentations), video.size, len(video.frames))
            for entry, video in zip(entries, of_entry, strict=True)
        )
        read = apply(_read_masks, tasks)
        for number, (place, entry, masks) in enumerate(zip(places, entries, read, strict=True)):
            by_id[entry.video_id].tracks.append(self._truth_track(place, entry, number, masks))
        for video in videos:
            ids = [track.id for track in video.tracks]
            self.unique("track id", ids, f"video {video.name!r}: ")

    def _sized(self, place: str, height: int, width: int) -> tuple[int, int]:
        try:
            check_size(height, width)
        except FrameError as error:
            self._fail(place, str(error))
        return height, width

    def _check_lengths(self, place: str, entry: _Annotation, length: int) -> None:
        for name, values in (("areas", entry.areas), ("sounding", entry.sounding)):
            if values is not None and len(values) != length:
                self._fail(place, f"{name} has {len(values)} entries for {length} frames")

    def _truth_track(
        self, place: str, entry: _Annotation, number: int, read: TruthMasks | str
    ) -> MaskTrack:
        if isinstance(read, str):
            self._fail(place, read)
        if entry.sounding is not None:
            for frame in np.flatnonzero(~np.array(entry.sounding)):
                read.masks[frame], read.areas[frame] = None, -1
        needed = ("id", "iscrowd", "height", "width", "areas")
        missing = [name for name in needed if getattr(entry, name) is None]
        if self.unreadable is None:
            if not read.plain:
                self.unreadable = f"{place}: it takes lists of polygons or uncompressed run lengths"
            elif missing:
                self.unreadable = f"{place}: it needs {', '.join(missing)}"
            elif entry.sounding is not None:
                self.unreadable = f"{place}: it does not know 'sounding'"
        stated = [area for area in entry.areas or [] if area]
        return MaskTrack(
            id=number if entry.id is None else entry.id,
            category_id=entry.category_id,
            masks=read.masks,
            areas=read.areas,
            crowd=bool(entry.iscrowd),
            stated_area=float(np.mean(stated)) if stated else 0.0,
        )

    def prediction(
        self, entry: _Prediction, number: int, place: int, video: TruthVideo, exact_length: bool
    ) -> MaskTrack:
        where = f"video {video.name!r}, track {number}"
        size = video.size or self._unsized.get(video.id)
        try:
            masks, areas, size = predicted_masks(entry.segmentations, size)
        except FrameError as error:
            self._fail(where, str(error))
        if size is not None:
            self._unsized[video.id] = size
        length = len(video.frames)
        if len(masks) < length or (exact_length and len(masks) > length):
            self._fail(where, f"segmentations has {len(masks)} entries for {length} frames")
        return MaskTrack(place, entry.category_id, masks, areas, score=entry.score)

    def _fail(self, where: str, what: str) -> NoReturn:
        raise InputError(f"{self.source}: {where}: {what}")


def _read_masks(task: tuple[bytes, tuple[int, int], int]) -> TruthMasks | str:
    """The masks, or what is wrong with them."""
    try:
        return truth_masks(*task)
    except FrameError as error:
        return str(error)


class _OfVideo(msgspec.Struct):
    video_id: _Id


def _video_id_of(entry: msgspec.Raw) -> int | None:
    """The video an entry belongs to that is malformed otherwise."""
    try:
        return msgspec.json.decode(entry, type=_OfVideo).video_id
    except UNREADABLE:
        return None
