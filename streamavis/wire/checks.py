"""Which values may be on the wire: ranges, lengths, and run lengths that are safe to decode.

A frame's fields must also agree: every mask has the size of the picture, ids are unique, and
boxes, centroids and areas lie within it.

`check_message` runs before a message is sent and after it is received, `check_masks` only after:
a sender has just encoded its masks. Every range has two finite ends, so NaN and infinity, for
which no comparison holds, are refused with it.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from streamavis.errors import SchemaError
from streamavis.types import FrameResult, Intrinsics, Rle, SoundBearing, Track
from streamavis.wire.schema import (
    EndOfStream,
    Hello,
    Message,
    StageLatency,
    Status,
    check_stream_name,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "MAX_COUNTS",
    "MAX_ENTRIES",
    "MAX_ITEMS",
    "MAX_SIDE",
    "MAX_TEXT",
    "check_masks",
    "check_message",
    "check_rle",
]

MAX_SIDE: Final = 16_384  # pixels, height or width
MAX_ITEMS: Final = 1_024  # tracks of a frame, classes of a model
MAX_ENTRIES: Final = 64  # keys of a message, stamps, causes, stages
MAX_TEXT: Final = 256  # characters of a label, a cause, an id
MAX_COUNTS: Final = 1 << 18  # characters of one mask's run lengths

_INT64: Final = (1 << 63) - 1
_INT32: Final = (1 << 31) - 1
_FLOAT32: Final = 3.5e38
_SECONDS: Final = 1e12  # beyond any wall time or delay
_PIXELS: Final = 1e7  # beyond any focal length

# COCO writes a run as characters of 5 bits, '0' + bits, +32 while more follow. Six of them hold
# MAX_SIDE * MAX_SIDE and its sign; pycocotools shifts longer ones out of its integers.
_RUN = re.compile("[P-o]{0,5}[0-O]")


def check_message(message: Message) -> None:
    """Refuse a message whose values no reader should act on.

    Raises:
        SchemaError: a value is out of range, or a text or a collection too long.
    """
    check_stream_name(message.stream)
    _text("v", message.v)
    _text("boot_id", message.boot_id)
    _between("wall_time", message.wall_time, 0, _SECONDS)
    match message:
        case FrameResult():
            _check_frame(message)
        case Status():
            _check_progress(message)
            _text("host_boot_id", message.host_boot_id or "")
            _between("monotonic_ns", message.monotonic_ns, 0, _INT64)
            _check_names("latency", message.latency)
            for stage, latency in message.latency.items():
                _check_latency(stage, latency)
            _check_details(message)
        case Hello():
            _text("host_boot_id", message.host_boot_id or "")
            _text("model", message.model)
            _check_names("classes", message.classes, MAX_ITEMS)
            _check_size("size", message.size)
            if message.fps is not None:
                _between("fps", message.fps, 0, 1e6)
            _text("frame_id", message.frame_id)
            if message.intrinsics is not None:
                _check_intrinsics(message.intrinsics)
        case EndOfStream():
            _check_progress(message)
            _text("detail", message.detail)


def check_masks(result: FrameResult) -> None:
    """Refuse masks that cannot be decoded, or have another area than their track says.

    Raises:
        SchemaError: as `check_rle`, or an area contradicts its mask; names the track.
    """
    for track in result.tracks:
        pixels = check_rle(track.rle)
        if pixels != track.area:
            raise SchemaError(
                f"track {track.id}: area is {track.area}, but its mask has {pixels} pixels"
            )


def check_rle(rle: Rle) -> int:
    """Refuse run lengths that are not exactly one mask of their size; return its pixels.

    pycocotools trusts what it decodes, and corrupt counts make it write outside its buffers.
    Costs about 0.1 us a character: `re`, `map` and `itertools` do the work in C.

    Raises:
        SchemaError: not COCO's alphabet, a run cut short or negative, or a wrong sum.
    """
    _check_size("rle.size", rle.size)
    groups = _RUN.findall(rle.counts)
    if "".join(groups) != rle.counts:
        raise SchemaError(f"rle.counts {rle.counts[:40]!r} is not COCO's compressed run lengths")
    deltas = list(map(_DELTAS.__getitem__, groups))
    # From the fourth run on, COCO writes the difference to the run two places before.
    runs = [*deltas[:1], *accumulate(deltas[1::2]), *accumulate(deltas[2::2])]
    height, width = rle.size
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise SchemaError(
            f"the runs of rle.counts cover {sum(runs)} pixels, shortest run "
            f"{min(runs, default=0)}, expected {height} x {width} = {height * width} and 0 or more"
        )
    # `runs` holds the first run, the second, fourth, ... and then the third, fifth, ...
    return sum(runs[1 : 1 + len(deltas) // 2])


class _Deltas(dict[str, int]):
    """What a group of COCO characters stands for; groups up to two characters are remembered."""

    def __missing__(self, group: str) -> int:
        value = 0
        for place, char in enumerate(group):
            value |= (ord(char) - 48 & 0x1F) << 5 * place
        if ord(group[-1]) - 48 & 0x10:
            value -= 1 << 5 * len(group)
        if len(group) <= 2:  # 1,056 entries at most
            self[group] = value
        return value


_DELTAS: Final = _Deltas()


def _check_frame(result: FrameResult) -> None:
    _check_size("size", result.size)
    _between("epoch", result.epoch, 0, _INT64)
    _between("seq", result.seq, 0, _INT64)
    _between("capture_time_ns", result.capture_time_ns, -_INT64, _INT64)
    _between("audio_delay_s", result.audio_delay_s, 0, _SECONDS)
    _text("frame_id", result.frame_id)
    if result.capture_wall_time is not None:
        _between("capture_wall_time", result.capture_wall_time, 0, _SECONDS)
    if result.sound_bearing is not None:
        _check_sound_bearing(result.sound_bearing)
    _check_names("stamps", result.stamps)
    for stage, stamp in result.stamps.items():
        _between(stage, stamp, 0, _INT64)
    if len(result.tracks) > MAX_ITEMS:
        raise SchemaError(f"{len(result.tracks)} tracks in one frame, at most {MAX_ITEMS}")
    ids: set[int] = set()
    for track in result.tracks:
        _check_track(track)
        _check_agreement(track, result.size)
        if track.id in ids:
            raise SchemaError(f"track id {track.id} occurs twice in one frame, expected it once")
        ids.add(track.id)


def _check_track(track: Track) -> None:
    _between("id", track.id, 0, _INT64)
    _text("label", track.label)
    _between("class_id", track.class_id, 0, _INT32)
    _between("score", track.score, 0, 1)
    if track.sounding is not None:
        _between("sounding", track.sounding, 0, 1)
    if track.visible is not None:
        _between("visible", track.visible, 0, 1)
    if track.bearing is not None:
        _between("bearing's azimuth", track.bearing[0], -180, 180)
        _between("bearing's elevation", track.bearing[1], -90, 90)
    for value in (*track.box, *track.centroid):
        _between("box and centroid", value, -MAX_SIDE, 2 * MAX_SIDE)
    _between("area", track.area, 0, MAX_SIDE * MAX_SIDE)
    _text("rle.counts", track.rle.counts, MAX_COUNTS)
    _check_names("extra", track.extra)
    for name, said in track.extra.items():
        numbers = said if isinstance(said, list) else [said]
        if len(numbers) > MAX_ENTRIES:
            raise SchemaError(f"extra {name} has {len(numbers)} numbers, at most {MAX_ENTRIES}")
        for number in numbers:
            _between(f"extra {name}", number, -_FLOAT32, _FLOAT32)


def _check_agreement(track: Track, size: tuple[int, int]) -> None:
    """Refuse a track whose parts contradict each other or the picture's `size`."""
    height, width = size
    x, y, w, h = track.box
    if tuple(track.rle.size) != tuple(size):
        raise SchemaError(
            f"track {track.id}: rle.size is {track.rle.size}, but the frame's size is {size}"
        )
    if min(x, y, w, h) < 0 or x + w > width or y + h > height:
        raise SchemaError(
            f"track {track.id}: box is {track.box} (x, y, w, h), which is not within the frame's "
            f"size {size} (height, width)"
        )
    if track.area > w * h:
        raise SchemaError(
            f"track {track.id}: area is {track.area}, but its box {track.box} has {w * h} pixels"
        )
    if not (0 <= track.centroid[0] <= width and 0 <= track.centroid[1] <= height):
        raise SchemaError(
            f"track {track.id}: centroid is {track.centroid} (x, y), which is not within the "
            f"frame's size {size} (height, width)"
        )


def _check_sound_bearing(sound: SoundBearing) -> None:
    _between("sound_bearing.time_ns", sound.time_ns, -_INT64, _INT64)
    _between("sound_bearing.confidence", sound.confidence, 0, 1)
    if sound.azimuth is not None:
        _between("sound_bearing.azimuth", sound.azimuth, -180, 180)


def _check_intrinsics(camera: Intrinsics) -> None:
    for value in (camera.fx, camera.fy):
        _between("intrinsics.fx and fy", value, 0, _PIXELS)
    for value in (camera.cx, camera.cy):
        _between("intrinsics.cx and cy", value, -_PIXELS, _PIXELS)
    for value in camera.distortion:
        _between("intrinsics.distortion", value, -_PIXELS, _PIXELS)


def _check_progress(message: Status | EndOfStream) -> None:
    _between("epoch", message.epoch, 0, _INT64)
    if message.seq is not None:
        _between("seq", message.seq, 0, _INT64)
    _between("captured", message.captured, 0, _INT64)
    _between("processed", message.processed, 0, _INT64)
    _check_names("dropped", message.dropped)
    for cause, frames in message.dropped.items():
        _between(cause, frames, 0, _INT64)


def _check_details(status: Status) -> None:
    _check_names("degraded", status.degraded)
    for name, entries in (("inputs", status.inputs), ("notices", status.notices)):
        if len(entries) > MAX_ENTRIES:
            raise SchemaError(f"{name} has {len(entries)} entries, at most {MAX_ENTRIES}")
    for known in status.inputs:
        _text("inputs.source", known.source)
        _text("inputs.reason", known.reason)
        _between("inputs.since_ns", known.since_ns, 0, _INT64)
    for notice in status.notices:
        _between("notices.number", notice.number, 0, _INT64)
        _between("notices.time_ns", notice.time_ns, 0, _INT64)
        _text("notices.text", notice.text)


def _check_latency(stage: str, latency: StageLatency) -> None:
    for value in (latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.max_ms):
        _between(f"latency of {stage}", value, 0, _SECONDS)


def _check_size(name: str, size: tuple[int, int]) -> None:
    for side in size:
        _between(name, side, 1, MAX_SIDE)


def _check_names(
    name: str, names: Mapping[str, object] | Collection[str], limit: int = MAX_ENTRIES
) -> None:
    if len(names) > limit:
        raise SchemaError(f"{name} has {len(names)} entries, at most {limit}")
    for text in names:
        _text(name, text)


def _text(name: str, value: str, limit: int = MAX_TEXT) -> None:
    if len(value) > limit:
        raise SchemaError(f"{name} has {len(value)} characters, at most {limit}")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SchemaError(f"{name} is {value!r}, expected {low} to {high}")
