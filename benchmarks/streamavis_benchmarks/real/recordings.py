"""Real recordings with truth per second, and in digital silence."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamavis_benchmarks.real.labels import class_of
from streamavis_benchmarks.real.measured import Measured, assign, box_iou
from streamavis_benchmarks.real.sheet import tile_of
from streamavis_benchmarks.real.streams import watch_file

if TYPE_CHECKING:
    from pathlib import Path

    from streamavis.types import FrameResult, Track
    from streamavis_benchmarks.real.measured import Box, Setting
    from streamavis_benchmarks.real.pack import Second, Seen, TruthClip

__all__ = ["ClipUnit", "SilentUnit"]

_NS = 1_000_000_000
TALKING_SHARE = 0.15  # of the picture, that the only person in view covers
PERSON_SHARE = 0.03  # of the picture, from which on a person is asked for
_BIRTH_S = 0.4  # from the beginning of a clip; in it nothing can be known yet
_TILES_S = 3.0  # between pictures for the contact sheet


@dataclass(frozen=True)
class ClipUnit:
    """A recording whose objects and their sound are known, second by second.

    A second is judged by all of its frames: an object is found if it is in most of them, by a
    track of its class with a box IoU of 0.5; it is said to sound if that track does in most of
    those in which it is found.
    """

    clip: TruthClip
    drawn: bool = False

    @property
    def weight(self) -> float:
        return 10.0 * len(self.clip.seconds)

    def measure(self, setting: Setting) -> Measured:
        found = Measured()
        results: dict[int, list[FrameResult]] = defaultdict(list)
        next_tile_s = 1.0
        for picture, result in watch_file(
            setting.network, self.clip.path, setting.fps, setting.tracks
        ):
            time_s = result.capture_time_ns / _NS
            if time_s >= _BIRTH_S:
                results[int(time_s)].append(result)
            if self.drawn and time_s >= next_tile_s:
                found.tiles.append(tile_of(self.clip.path.stem, picture, result))
                next_tile_s = time_s + _TILES_S
        classes = setting.network.config.classes
        for second in self.clip.seconds:
            frames = results.get(int(second.start_s), [])
            if frames:
                _judge(second, frames, self.clip, classes, found)
        return found


def _judge(
    second: Second,
    frames: list[FrameResult],
    clip: TruthClip,
    classes: tuple[str, ...],
    found: Measured,
) -> None:
    counts = found.counts
    talking = _is_talking_head(second, clip)
    matches = _matches(second, frames, clip, classes)
    for place, seen in enumerate(second.objects):
        tracks = matches[place]
        is_found = 2 * len(tracks) > len(frames)
        says = 2 * sum(track.is_sounding for track in tracks) > len(tracks)
        right = is_found and seen.sounding is not None and says == seen.sounding
        groups = ["clips"]
        if seen.label == "person" and _share(seen, clip) >= PERSON_SHARE:
            groups.append("people")
        if talking:
            groups.append("talking")
        for group in groups:
            counts[f"{group}/objects"] += 1
            counts[f"{group}/found"] += is_found
            if seen.sounding is not None:
                counts[f"{group}/known"] += 1
                counts[f"{group}/right"] += right


def _matches(
    second: Second, frames: list[FrameResult], clip: TruthClip, classes: tuple[str, ...]
) -> list[list[Track]]:
    """For each object the tracks that show it, one a frame at most."""
    matches: list[list[Track]] = [[] for _ in second.objects]
    wanted = [class_of(seen.label, classes) for seen in second.objects]
    for result in frames:
        scale = result.size[1] / clip.width
        truth: list[Box] = [tuple(scale * side for side in seen.box) for seen in second.objects]  # type: ignore[misc]
        boxes: list[Box] = [(x, y, x + w, y + h) for x, y, w, h in (t.box for t in result.tracks)]
        iou = box_iou(boxes, truth)
        for row, track in enumerate(result.tracks):
            for column, class_id in enumerate(wanted):
                if track.class_id != class_id:
                    iou[row, column] = 0
        for row, column in assign(iou):
            matches[column].append(result.tracks[row])
    return matches


def _is_talking_head(second: Second, clip: TruthClip) -> bool:
    """One person, large, and it is known whether they speak."""
    if len(second.objects) != 1:
        return False
    (seen,) = second.objects
    known = seen.label == "person" and seen.sounding is not None
    return known and _share(seen, clip) >= TALKING_SHARE


def _share(seen: Seen, clip: TruthClip) -> float:
    left, top, right, bottom = seen.box
    return (right - left) * (bottom - top) / (clip.width * clip.height)


@dataclass(frozen=True)
class SilentUnit:
    """A real recording in digital silence: nothing may sound."""

    path: Path
    drawn: bool = False
    weight: float = 60.0

    def measure(self, setting: Setting) -> Measured:
        found = Measured()
        for picture, result in watch_file(
            setting.network, self.path, setting.fps, setting.tracks, silence=True
        ):
            found.counts["silent clips/frames"] += 1
            found.counts["silent clips/alarms"] += any(one.is_sounding for one in result.tracks)
            if self.drawn and result.capture_time_ns > _NS and not found.tiles:
                found.tiles.append(tile_of(f"{self.path.stem}, silence", picture, result))
        return found
