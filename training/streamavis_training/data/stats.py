"""What is in a data set: the figures of the AVISeg paper's Table 1 and Figure 2."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from streamavis.errors import InputError
from streamavis.metrics.limits import FrameError
from streamavis.metrics.rasters import truth_masks
from streamavis_training.data import coco, layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamavis_training.data.coco import Picture
    from streamavis_training.data.layout import Instance, Video
    from streamavis_training.data.places import Kind, Place

__all__ = ["AREAS", "DURATIONS_S", "ClassFigures", "Figures", "Histogram", "figures"]

DURATIONS_S = (0.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0)  # edges; the last is open
AREAS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # shares of the picture; the last is open
_MANY = 8  # objects per frame; more count as this


@dataclass
class Histogram:
    """Counts between edges; the last bin has no upper edge."""

    edges: tuple[float, ...]
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * len(self.edges)

    def add(self, value: float) -> None:
        """Count a value of at least the first edge."""
        self.counts[int(np.searchsorted(self.edges, value, side="right")) - 1] += 1


@dataclass
class ClassFigures:
    """Of one category."""

    videos: int = 0  # with an object of it
    objects: int = 0
    masks: int = 0
    sounding: int = 0  # object-frames that sound; 0 where there is no sound


@dataclass
class Figures:
    """Of one split. Object-frames: one object in one frame. None: the data set does not tell."""

    name: str
    kind: Kind
    videos: int = 0  # 0: single pictures
    frames: int = 0
    seconds: float = 0.0
    sizes: dict[str, int] = field(default_factory=dict)  # WxH -> videos or pictures
    rates: dict[str, int] = field(default_factory=dict)  # frames a second -> videos
    objects: int = 0
    masks: int = 0
    empty_videos: int = 0  # or pictures, without any object
    paired_videos: int = 0  # with two objects of one class
    most_objects: int = 0  # of a video or picture
    sounding: int | None = None  # object-frames that sound
    visible: int | None = None  # object-frames known to be in view, with a sound
    frames_silent: int | None = None  # in which no object in view sounds (FSLAn)
    frames_single: int | None = None  # in which one does (FSLAs)
    frames_multiple: int | None = None  # in which several do (FSLAm)
    instances_per_frame: list[int] = field(default_factory=lambda: [0] * (_MANY + 1))
    durations_s: Histogram = field(default_factory=lambda: Histogram(DURATIONS_S))
    areas: Histogram = field(default_factory=lambda: Histogram(AREAS))
    classes: dict[str, ClassFigures] = field(default_factory=dict)

    @property
    def sounding_share(self) -> float | None:
        """Of the object-frames in view, those that sound; None where silence is not labelled."""
        if self.sounding is None or not self.visible:
            return None
        return self.sounding / self.visible

    def document(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {**asdict(self), "sounding_share": self.sounding_share}


def figures(place: Place, progress: Callable[[int, int], None] | None = None) -> Figures:
    """Count what is in a split. Pictures and sounds are not opened.

    Args:
        place: see `places.find`.
        progress: called with how many videos or pictures are done, and how many there are.

    Raises:
        InputError: the data set has a problem; `data check` lists them all.
    """
    try:
        if place.kind == "COCO":
            return _of_pictures(place, progress)
        return _of_videos(place, progress)
    except FrameError as error:
        raise InputError(f"{place.annotations}: {error}; see `streamavis data check`") from error


def _of_videos(place: Place, progress: Callable[[int, int], None] | None) -> Figures:
    labels, videos = layout.read_place(place)
    found = Figures(place.name, place.kind, len(videos))
    found.classes = {label: ClassFigures() for label in labels}
    sizes, rates = Counter[str](), Counter[str]()
    heard = any(video.wav is not None for video in videos)
    if heard:
        found.sounding = found.frames_silent = found.frames_single = found.frames_multiple = 0
    complete = all(o.visible is not None for v in videos for o in v.instances)
    if heard and complete:
        found.visible = 0
    for done, video in enumerate(videos, 1):
        sizes[f"{video.width}x{video.height}"] += 1
        rates[f"{video.fps:g}"] += 1
        seconds = len(video.frames) / video.fps
        found.frames += len(video.frames)
        found.seconds += seconds
        found.durations_s.add(seconds)
        _count_objects(found, [o.label for o in video.instances])
        _count_frames(found, video)
        if progress is not None:
            progress(done, len(videos))
    found.sizes, found.rates = dict(sizes.most_common()), dict(rates.most_common())
    return found


def _count_objects(found: Figures, labels: Sequence[str]) -> None:
    """Of one video or picture."""
    found.objects += len(labels)
    found.most_objects = max(found.most_objects, len(labels))
    found.empty_videos += not labels
    found.paired_videos += len(set(labels)) < len(labels)
    for label in labels:
        found.classes[label].objects += 1
    for label in set(labels):
        found.classes[label].videos += 1


def _count_frames(found: Figures, video: Video) -> None:
    shown = np.zeros(len(video.frames), int)
    sounds = np.zeros(len(video.frames), int)
    for instance in video.instances:
        areas = _areas(video, instance)
        for area in areas[areas >= 0]:
            found.areas.add(area / (video.height * video.width))
        masks = int((areas >= 0).sum())
        shown += areas >= 0
        found.masks += masks
        found.classes[instance.label].masks += masks
        if instance.sounding is not None and found.sounding is not None:
            heard = instance.sounding & (areas >= 0)
            sounds += heard
            found.sounding += int(heard.sum())
            found.classes[instance.label].sounding += int(heard.sum())
        if instance.visible is not None and found.visible is not None:
            found.visible += int(instance.visible.sum())
    for count in shown:
        found.instances_per_frame[min(count, _MANY)] += 1
    if video.wav is not None and found.frames_silent is not None:
        found.frames_silent += int((sounds == 0).sum())
        found.frames_single = (found.frames_single or 0) + int((sounds == 1).sum())
        found.frames_multiple = (found.frames_multiple or 0) + int((sounds > 1).sum())


def _areas(video: Video, instance: Instance) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(T) pixels of each mask, -1 where there is none."""
    stored = b"[" + b",".join(mask or b"null" for mask in instance.segmentations) + b"]"
    try:
        return truth_masks(stored, instance.size, len(video.frames)).areas
    except FrameError as error:
        raise FrameError(f"video {video.name}, annotation {instance.id}, {error}") from error


def _of_pictures(place: Place, progress: Callable[[int, int], None] | None) -> Figures:
    labels, pictures = coco.read_place(place)
    found = Figures(place.name, place.kind)
    found.classes = {label: ClassFigures() for label in labels}
    sizes = Counter[str]()
    for done, picture in enumerate(pictures, 1):
        sizes[f"{picture.width}x{picture.height}"] += 1
        found.frames += 1
        _count_objects(found, [labels[o.class_id] for o in picture.outlines])
        found.instances_per_frame[min(len(picture.outlines), _MANY)] += 1
        for area, label in _outlined(picture, labels):
            found.areas.add(area / (picture.height * picture.width))
            found.masks += 1
            found.classes[label].masks += 1
        if progress is not None and (done % 64 == 0 or done == len(pictures)):
            progress(done, len(pictures))
    found.sizes = dict(sizes.most_common())
    return found


def _outlined(picture: Picture, labels: Sequence[str]) -> list[tuple[int, str]]:
    """Pixels and label of each object."""
    found = []
    for outline in picture.outlines:
        try:
            size = (picture.height, picture.width)
            masks = truth_masks(b"[" + outline.segmentation + b"]", size, 1)
        except FrameError as error:
            raise FrameError(f"image {picture.id}, annotation {outline.id}: {error}") from error
        found.append((int(masks.areas[0]), labels[outline.class_id]))
    return found
