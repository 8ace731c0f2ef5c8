"""What travels through StreamAVIS: frames and sound in, results out. No torch here.

One clock per stream: int64 nanoseconds, monotonic, never wall time (`*_ns`). Coordinates are
pixels of the source frame, origin top left, `[x, y, w, h]`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from streamavis.masks import Rle, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from supervision import Detections

__all__ = [
    "MASK_STRIDE",
    "SAMPLE_RATE",
    "WINDOW_SAMPLES",
    "WIRE_VERSION",
    "AudioChunk",
    "AudioGap",
    "AudioState",
    "Candidate",
    "ClockSource",
    "Extra",
    "FrameResult",
    "Heard",
    "InputStatus",
    "Intrinsics",
    "Modality",
    "ModelHealth",
    "Notice",
    "NoticeKind",
    "Rle",
    "SoundBearing",
    "SourceEvent",
    "SourceItem",
    "SourceState",
    "Stage",
    "Track",
    "VideoFrame",
    "VideoState",
    "message_fields",
]

SAMPLE_RATE = 16_000  # Hz, mono: the rate of every audio ring and model
WINDOW_SAMPLES = 15_360  # 0.96 s, the sound one frame hears
MASK_STRIDE = 4  # pixels of the network's picture per cell of its masks, along each side
WIRE_VERSION = "1.2"  # of every message and line of results: `docs/WIRE.md`

Extra: TypeAlias = float | list[float]  # what a head says of one object: a number or several

AudioState = Literal["ok", "gap", "lost", "absent"]
VideoState = Literal["ok", "stale", "lost"]
ClockSource = Literal["pts", "driver", "arrival"]
Modality = Literal["video", "audio"]
ModelHealth = Literal["ok", "failed"]  # failed: given up, and tried every few seconds only
NoticeKind = Literal["source", "model", "sink", "load", "worker"]
SourceState = Literal["starting", "running", "stalled", "reconnecting", "failed", "ended"]


class Stage(StrEnum):
    """Where a result was when its stamp was taken, in order."""

    CAPTURE = "capture"
    RECEIVE = "receive"
    DECODE = "decode"
    QUEUE = "queue"
    PREPROCESS = "preprocess"
    MODEL = "model"
    POST = "post"
    PUBLISH = "publish"


@dataclass(slots=True)
class VideoFrame:
    """One picture and when it was taken."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    capture_time_ns: int  # stream clock
    index: int  # frames the source has produced before this one
    clock: ClockSource
    state: VideoState = "ok"
    stamps: dict[str, int] = field(default_factory=dict)  # Stage -> monotonic ns of the engine
    epoch: int = 0  # rises where the source's own clock began anew, while its times go on


@dataclass(slots=True)
class AudioChunk:
    """Consecutive mono samples at `SAMPLE_RATE` and when the first was taken."""

    samples: NDArray[np.float32]  # (samples,), in [-1, 1]
    start_time_ns: int  # stream clock, of samples[0]


@dataclass(slots=True, frozen=True)
class AudioGap:
    """Sound that was lost, of known length: the samples on both sides keep their times."""

    start_time_ns: int  # stream clock, of the first lost sample
    duration_ns: int
    cause: str  # for people: "overflow", "stall", ...


@dataclass(slots=True, frozen=True)
class SourceEvent:
    """A camera or microphone changed its state; published to whoever listens."""

    source: str  # its address, without credentials
    modality: Modality
    state: SourceState
    time_ns: int  # stream clock
    reason: str = ""  # one sentence for people


@dataclass(slots=True, frozen=True)
class Heard:
    """What kinds of sound are in the air at one frame, whether their source is in view or not."""

    capture_time_ns: int  # of the frame
    probabilities: tuple[float, ...]  # 0..1, by class_id; several may sound at once

    def top(self, classes: Sequence[str], count: int) -> list[tuple[str, float]]:
        """Name and probability of the `count` likeliest kinds, the likeliest first."""
        named = zip(classes, self.probabilities, strict=False)
        return sorted(named, key=lambda kind: -kind[1])[:count]


@dataclass(slots=True, frozen=True, kw_only=True)
class Intrinsics:
    """A pinhole camera with OpenCV's distortion, for pictures of the source frame's size."""

    fx: float  # focal length, pixels
    fy: float
    cx: float  # principal point, pixels
    cy: float
    distortion: tuple[float, float, float, float, float] = (
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
    )  # k1, k2, p1, p2, k3


@dataclass(slots=True, frozen=True)
class SoundBearing:
    """Where the sound comes from, on screen or off, as an array of microphones hears it."""

    time_ns: int  # stream clock, of the end of the sound it is computed from
    azimuth: float | None  # degrees, 0 in front, to the right positive; None: unknown
    confidence: float  # 0..1, that the azimuth is right


@dataclass(slots=True, frozen=True)
class InputStatus:
    """A camera or microphone as it is now."""

    source: str  # its address, without credentials
    modality: Modality
    state: SourceState
    since_ns: int  # the engine's clock
    reason: str = ""  # one sentence for people


@dataclass(slots=True, frozen=True)
class Notice:
    """Something that happened to a stream and that somebody should know."""

    number: int  # rises by one with each notice of a stream, from 1
    time_ns: int  # the engine's clock
    kind: NoticeKind
    text: str  # one sentence for people


SourceItem: TypeAlias = VideoFrame | AudioChunk | AudioGap | SourceEvent | SoundBearing


@dataclass(slots=True)
class Track:
    """One object in one frame."""

    id: int  # permanent within an epoch, never reused
    label: str
    class_id: int
    score: float  # 0..1
    sounding: float | None  # 0..1; None: unknown, the microphone is not heard
    visible: float | None  # 0..1; None: the model does not know
    box: tuple[int, int, int, int]  # x, y, w, h
    centroid: tuple[float, float]  # x, y
    area: int  # pixels
    rle: Rle
    # Azimuth (right) and elevation (up) of the centroid, degrees; None: the camera is not known.
    bearing: tuple[float, float] | None = None
    bearing_agrees: bool | None = None  # with the sound's bearing; None: one of them is unknown
    extra: dict[str, Extra] = field(default_factory=dict)  # of further heads, by name

    @property
    def is_sounding(self) -> bool:
        """True when the object is heard; False when silent or unknown."""
        return self.sounding is not None and self.sounding >= 0.5

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool, decoded on every access."""
        return decode(self.rle)


@dataclass(slots=True, frozen=True)
class Candidate:
    """An object that one frame query proposed, before memory and tracks decided."""

    label: str
    class_id: int
    score: float  # 0..1
    box: tuple[int, int, int, int]  # x, y, w, h


@dataclass(slots=True)
class FrameResult:
    """What is seen and heard in one frame: the wire's `frame` message, field by field.

    Iterating over a result gives its tracks.
    """

    stream: str
    epoch: int  # rises when continuity broke; track ids start anew
    seq: int  # rises by one for each captured frame of the stream, dropped ones included
    capture_time_ns: int
    size: tuple[int, int]  # height, width of the source frame
    audio: AudioState
    audio_delay_s: float
    video: VideoState
    clock: ClockSource
    tracks: list[Track]
    frame_id: str = ""  # of the camera's axes, as ROS has it
    capture_wall_time: float | None = None  # s since 1970, of `capture_time_ns`; None: unknown
    sound_bearing: SoundBearing | None = None  # None: there is no array of microphones
    v: str = WIRE_VERSION
    boot_id: str = ""  # random per engine start
    wall_time: float = 0.0  # seconds since 1970, metadata only
    stamps: dict[str, int] = field(default_factory=dict)  # Stage -> monotonic ns

    def __iter__(self) -> Iterator[Track]:
        return iter(self.tracks)

    def __getitem__(self, label: str) -> list[Track]:
        """The tracks of one class; an empty list where there are none."""
        return [track for track in self.tracks if track.label == label]

    @property
    def sounding(self) -> list[Track]:
        """The tracks that make a sound; an empty list also where the sound is unknown."""
        return [track for track in self.tracks if track.is_sounding]

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) bool, one mask for each of `tracks` in order, decoded on every access."""
        import numpy as np

        if not self.tracks:
            return np.zeros((0, *self.size), np.bool_)
        return np.stack([track.mask for track in self.tracks])

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """One array for each property of the tracks: `streamavis.forms.to_numpy`."""
        from streamavis import forms

        return forms.to_numpy(self)

    def to_coco(self) -> dict[str, Any]:
        """A COCO data set of one image: `streamavis.forms.to_coco`, which takes options."""
        from streamavis import forms

        return forms.to_coco(self)

    def to_supervision(self) -> Detections:
        """`supervision.Detections` with masks and track ids: `streamavis.forms.to_supervision`.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        from streamavis import forms

        return forms.to_supervision(self)


def message_fields(result: FrameResult, names: Sequence[str]) -> dict[str, object]:
    """These fields of a result as they are written; a track has `extra` only where it says more."""
    message = {name: getattr(result, name) for name in names}
    message["tracks"] = [
        {name: getattr(track, name) for name in (_TRACK if track.extra else _TRACK_WITHOUT_EXTRA)}
        for track in result.tracks
    ]
    return message


_TRACK = tuple(one.name for one in fields(Track))
_TRACK_WITHOUT_EXTRA = tuple(name for name in _TRACK if name != "extra")
