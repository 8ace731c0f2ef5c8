"""Data sets on disk: one layout for AVISeg, composed and procedural clips.

    DIR/annotations.json (or DIR.json, as AVISeg has it)
    DIR/JPEGImages/VIDEO/N.jpg    DIR/WAVAudios/VIDEO.wav

Three fields go beyond AVISeg's: a video's `fps` (else 1), an annotation's `visible` and `sounding`.
Without the last two a mask means that the object sounds, and what is seen but silent is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import numpy as np
from pycocotools import mask as coco

from streamavis.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["ANNOTATIONS", "AUDIO", "FRAMES", "Instance", "Video", "read"]

ANNOTATIONS, FRAMES, AUDIO = "annotations.json", "JPEGImages", "WAVAudios"


@dataclass
class Instance:
    """One object through a video of T frames."""

    id: int
    label: str
    class_id: int  # 0-based place of its category in the file
    sounding: NDArray[np.bool_]  # (T,)
    visible: NDArray[np.bool_] | None  # (T,); None: unknown where it does not sound
    boxes: list[list[float] | None]  # (T) x, y, w, h in pixels
    segmentations: list[Any]  # (T) COCO run lengths or polygons, None where there is no mask
    size: tuple[int, int]  # height, width

    def mask(self, frame: int) -> NDArray[np.bool_]:
        """(H, W) bool of one frame, empty where there is none; decoded on every call."""
        stored = self.segmentations[frame]
        if stored is None:
            return np.zeros(self.size, bool)
        if isinstance(stored, list) or isinstance(stored["counts"], list):
            stored = coco.frPyObjects(stored, *self.size)
        if isinstance(stored, list):
            stored = coco.merge(stored)
        return coco.decode(stored).astype(bool)


@dataclass
class Video:
    """One clip: pictures, sound and what is known of its objects."""

    name: str
    frames: list[Path]  # (T)
    wav: Path
    fps: float  # frame i is the picture at time i / fps
    height: int
    width: int
    instances: list[Instance]
    off_screen: NDArray[np.bool_]  # (T, K) classes heard from out of view, where known


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
    length: int
    fps: float = 1.0
    off_screen: list[_OffScreen] = []


class _Annotation(msgspec.Struct):
    id: int
    video_id: int
    category_id: int
    bboxes: list[list[float] | None]
    segmentations: list[dict[str, Any] | list[list[float]] | None]
    visible: list[bool] | None = None
    sounding: list[bool] | None = None


class _File(msgspec.Struct):
    videos: list[_Video]
    annotations: list[_Annotation]
    categories: list[_Category]


class _Reader:
    """Checks a parsed file and turns it into videos; its errors name the file and the place."""

    def __init__(self, folder: Path, source: Path, file: _File) -> None:
        self._folder, self._source = folder, source
        self._labels = [category.name for category in file.categories]
        self._classes = {category.id: i for i, category in enumerate(file.categories)}
        self.videos = {video.id: self._video(video) for video in file.videos}
        for annotation in file.annotations:
            self._annotate(annotation)

    def _video(self, video: _Video) -> Video:
        name = f"video {video.id}"
        if len(video.file_names) != video.length or not video.file_names:
            self._fail(
                f"{name}: field 'length' is {video.length} but 'file_names' has"
                f" {len(video.file_names)} entries; they must agree and not be 0"
            )
        frames = [self._folder / FRAMES / file_name for file_name in video.file_names]
        wav = self._folder / AUDIO / f"{frames[0].parent.name}.wav"
        for path in (*frames, wav):
            if not path.is_file():
                self._fail(f"{name}: file {path} is missing; restore it or remove the video")
        off_screen = np.zeros((video.length, len(self._classes)), bool)
        for source in video.off_screen:
            self._check(f"{name}: off_screen", "sounding", source.sounding, video.length)
            off_screen[:, self._class_id(name, source.category_id)] |= source.sounding
        return Video(
            name=frames[0].parent.name,
            frames=frames,
            wav=wav,
            fps=video.fps,
            height=video.height,
            width=video.width,
            instances=[],
            off_screen=off_screen,
        )

    def _annotate(self, annotation: _Annotation) -> None:
        name = f"annotation {annotation.id}"
        if annotation.video_id not in self.videos:
            self._fail(f"{name}: field 'video_id' names video {annotation.video_id}: no such video")
        video = self.videos[annotation.video_id]
        name = f"video {video.name}, {name}"
        for key in ("bboxes", "segmentations", "visible", "sounding"):
            self._check(name, key, getattr(annotation, key), len(video.frames))
        # AVISeg's rule: an object is there only where it has both a box and a mask.
        masks = [
            mask if box is not None else None
            for box, mask in zip(annotation.bboxes, annotation.segmentations, strict=True)
        ]
        has_mask = np.array([mask is not None for mask in masks])
        sounding, visible = annotation.sounding, annotation.visible
        class_id = self._class_id(name, annotation.category_id)
        video.instances.append(
            Instance(
                id=annotation.id,
                label=self._labels[class_id],
                class_id=class_id,
                sounding=has_mask if sounding is None else np.array(sounding),
                visible=None if visible is None else np.array(visible),
                boxes=annotation.bboxes,
                segmentations=masks,
                size=(video.height, video.width),
            )
        )

    def _class_id(self, name: str, category_id: int) -> int:
        if category_id not in self._classes:
            known = sorted(self._classes)
            self._fail(f"{name}: field 'category_id' is {category_id}; expected one of {known}")
        return self._classes[category_id]

    def _check(self, name: str, key: str, values: list[Any] | None, length: int) -> None:
        if values is not None and len(values) != length:
            self._fail(f"{name}: field '{key}' has {len(values)} entries for {length} frames")

    def _fail(self, what: str) -> NoReturn:
        raise InputError(f"{self._source}: {what}")


def read(folder: Path) -> list[Video]:
    """Read a data set; pictures and sound stay on disk.

    Args:
        folder: holds `JPEGImages` and `WAVAudios`, and `annotations.json` in it or FOLDER.json
            beside it.

    Raises:
        InputError: a file is missing or not as the layout says; names file, video and field.
    """
    source = folder / ANNOTATIONS
    if not source.is_file() and folder.with_name(f"{folder.name}.json").is_file():
        source = folder.with_name(f"{folder.name}.json")
    try:
        file = msgspec.json.decode(source.read_bytes(), type=_File)
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    except msgspec.DecodeError as error:
        raise InputError(f"{source}: not a data set's annotations: {error}") from error
    return list(_Reader(folder, source, file).videos.values())
