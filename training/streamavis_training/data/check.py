"""Every problem of a data set on disk, before training or evaluation meets it.

What the readers refuse is found by the readers themselves; what they leave for later (pictures,
sound, masks) is decoded here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from streamavis.errors import InputError
from streamavis.metrics.rasters import FrameError
from streamavis_training.data import coco, layout, media
from streamavis_training.data.layout import decoded
from streamavis_training.data.places import candidates, opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis_training.data.coco import Picture
    from streamavis_training.data.layout import Video
    from streamavis_training.data.places import Place

__all__ = ["Checked", "Problem", "check"]

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]  # as the built-in `map`
_PER_TASK = 64  # pictures of COCO that are checked together
_SLACK_S = 0.1  # a sound may be this much shorter than its frames
_BOX_SLACK = 3.0  # pixels that a box may differ from its mask's
_JPEG_BEGIN, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_TAIL = 1024  # bytes that may follow a picture's end


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    file: Path
    where: str  # in the file; empty: all of it
    what: str
    severe: bool = True  # False: odd, but the readers take it as it is meant

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


@dataclass
class Checked:
    """What was looked at, and what was found."""

    places: list[Place] = field(default_factory=list)
    videos: int = 0
    pictures: int = 0
    objects: int = 0
    masks: int = 0
    sounds: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing that the readers would refuse, now or later."""
        return not any(problem.severe for problem in self.problems)


@dataclass
class _Task:
    """A video, or some pictures, with the file that lists them."""

    listing: Path
    video: Video | None = None
    pictures: Sequence[Picture] = ()


@dataclass
class _Found:
    masks: int = 0
    problems: list[Problem] = field(default_factory=list)


def check(
    path: Path, *, apply: Map = map, progress: Callable[[int, int], None] | None = None
) -> Checked:
    """Look at everything in a data set: annotations, pictures, sounds and masks.

    Args:
        path: as for `places.find`; all splits are checked.
        apply: `map`, or one that works in several processes and keeps the order.
        progress: called with how many videos (COCO: pictures) are done, and how many there are.

    Raises:
        InputError: there is no data set at `path`.
    """
    checked = Checked()
    tasks: list[_Task] = []
    for listing, base in candidates(path):
        try:
            place = opened(listing, base)
        except InputError as error:
            checked.problems.append(Problem(listing, "", _without(error, listing)))
            continue
        checked.places.append(place)
        tasks += _read(place, checked)
    total = sum(len(task.pictures) or 1 for task in tasks)
    done = 0
    for task, found in zip(tasks, apply(_look, tasks), strict=True):
        checked.masks += found.masks
        checked.problems += found.problems
        done += len(task.pictures) or 1
        if progress is not None:
            progress(done, total)
    return checked


def _read(place: Place, checked: Checked) -> Iterator[_Task]:
    """What the reader says of a file, and what is left to look at."""
    listing = place.annotations

    def report(file: Path, where: str, what: str) -> None:
        checked.problems.append(Problem(file, where, what))

    entries: Sequence[Video | Picture]
    if place.kind == "COCO":
        _, pictures = coco.read_place(place, report)
        checked.pictures += len(pictures)
        checked.objects += sum(len(picture.outlines) for picture in pictures)
        entries = pictures
        for first in range(0, len(pictures), _PER_TASK):
            yield _Task(listing, pictures=pictures[first : first + _PER_TASK])
    else:
        _, videos = layout.read_place(place, report)
        checked.videos += len(videos)
        checked.pictures += sum(len(video.frames) for video in videos)
        checked.objects += sum(len(video.instances) for video in videos)
        checked.sounds += sum(video.wav is not None for video in videos)
        entries = videos
        for video in videos:
            yield _Task(listing, video)
    if not entries:
        what = "none of its entries is usable" if checked.problems else "it has no entries"
        report(listing, "", what)


def _look(task: _Task) -> _Found:
    if task.video is not None:
        return _Video(task.listing, task.video).found
    found = _Found()
    for picture in task.pictures:
        found.problems += _picture_problems(picture.path, (picture.height, picture.width))
        for outline in picture.outlines:
            found.masks += 1
            where = f"image {picture.id}, annotation {outline.id}"
            try:
                if not decoded(outline.segmentation, (picture.height, picture.width)).any():
                    found.problems.append(Problem(task.listing, where, _EMPTY))
            except FrameError as error:
                what = str(error).removeprefix("frame 0: ")
                found.problems.append(Problem(task.listing, where, what))
    return found


_EMPTY = "the mask covers no pixel; remove it, or redraw it"


class _Video:
    """Checks the files and masks of one video."""

    def __init__(self, listing: Path, video: Video) -> None:
        self._file, self._video = listing, video
        self.found = _Found()
        self._order()
        for path in video.frames:
            self.found.problems += _picture_problems(path, (video.height, video.width))
        if video.wav is not None:
            self._sound(video.wav)
        if not video.instances:
            self._odd("it has no objects; training on AVISeg leaves it out")
        for instance in video.instances:
            if instance.unboxed:
                self._odd(
                    f"{instance.unboxed} masks without a box; it counts as unlabelled there",
                    f", annotation {instance.id}",
                )
            for frame in range(len(video.frames)):
                self._mask(instance, frame)

    def _say(self, what: str, where: str = "", *, severe: bool = True) -> None:
        place = f"video {self._video.name}{where}"
        self.found.problems.append(Problem(self._file, place, what, severe))

    def _odd(self, what: str, where: str = "") -> None:
        self._say(what, where, severe=False)

    def _order(self) -> None:
        names = [path.name for path in self._video.frames]
        if len(set(self._video.frames)) < len(names):
            self._say("a frame occurs twice in 'file_names'")
        numbers = [int(found[-1]) for name in names if (found := re.findall(r"\d+", name))]
        if len(numbers) == len(names) and numbers != sorted(numbers):
            place = next(i for i in range(1, len(names)) if numbers[i] < numbers[i - 1])
            self._say(
                f"frame {names[place]} follows {names[place - 1]} in 'file_names';"
                " list the frames in the order of time"
            )

    def _sound(self, wav: Path) -> None:
        try:
            lasts_s = media.duration_s(wav)
        except InputError as error:
            self.found.problems.append(Problem(wav, "", _without(error, wav)))
            return
        # Frame i gets the sound before its time.
        needed_s = float(self._video.times_ns[-1]) / 1e9
        if lasts_s < needed_s - _SLACK_S:
            self.found.problems.append(
                Problem(
                    wav,
                    "",
                    f"lasts {lasts_s:.2f} s, but its {len(self._video.frames)} frames need"
                    f" {needed_s:.2f} s; the rest would be silent",
                )
            )

    def _mask(self, instance: layout.Instance, frame: int) -> None:
        where = f", annotation {instance.id}, frame {frame}"
        box, stored = instance.boxes[frame], instance.segmentations[frame]
        if box is not None and (len(box) != 4 or not np.isfinite(box).all()):
            self._say(f"box is {box}; expected x, y, width and height", where)
            return
        if stored is None:
            if box is not None:
                self._odd("a box without a mask; the object counts as unlabelled there", where)
            elif instance.visible is not None and instance.visible[frame]:
                self._say("'visible' is true, but there is no mask", where)
            return
        self.found.masks += 1
        try:
            mask = decoded(stored, instance.size)
        except FrameError as error:
            self._say(str(error).removeprefix("frame 0: "), where)
            return
        if not mask.any():
            self._say(_EMPTY, where)
        elif box is not None and (off := _off(mask, box)) > _BOX_SLACK:
            self._odd(f"the box {json.dumps(box)} is up to {off:.0f} pixels off its mask", where)


def _picture_problems(path: Path, size: tuple[int, int]) -> list[Problem]:
    try:
        # Some versions of OpenCV fill up what is missing and say nothing.
        if _breaks_off(path):
            return [Problem(path, "", "breaks off before its end; restore the file")]
        media.picture(path, size)
    except OSError as error:
        return [Problem(path, "", f"cannot be read ({error.strerror})")]
    except InputError as error:
        return [Problem(path, "", _without(error, path))]
    return []


def _breaks_off(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(2) != _JPEG_BEGIN:
            return False
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - _TAIL, 0))
        return _JPEG_END not in file.read()


def _off(mask: NDArray[np.uint8], box: list[float]) -> float:
    """How far a box is from the mask's, the largest difference of an edge in pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    x, y, width, height = box
    return float(np.abs(edges - (x, y, x + width, y + height)).max())


def _without(error: InputError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
