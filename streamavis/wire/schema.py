"""What is said on the wire: schema v1, its kinds of message and its topics.

A message is one part, `b"avis1." + stream + b"." + kind + b"\\0" + msgpack`, so that a prefix
subscription and CONFLATE both work. A minor version may add keys, which readers ignore; anything
else is a new major version, and with it another topic. `frame` is `streamavis.types.FrameResult`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from streamavis.errors import SchemaError, SchemaVersionError
from streamavis.types import (
    WIRE_VERSION,
    AudioState,
    FrameResult,
    InputStatus,
    Intrinsics,
    ModelHealth,
    Notice,
    SourceState,
    VideoState,
)

__all__ = [
    "KINDS",
    "MAJOR",
    "VERSION",
    "EndOfStream",
    "EndReason",
    "Hello",
    "Kind",
    "Message",
    "StageLatency",
    "Status",
    "check_stream_name",
    "kind_of",
    "parse_topic",
    "topic",
]

VERSION: Final = WIRE_VERSION
MAJOR: Final = int(VERSION.partition(".")[0])

Kind = Literal["frame", "status", "hello", "eos"]
EndReason = Literal["ended", "stopped", "failed"]


@dataclass(slots=True, kw_only=True)
class StageLatency:
    """How long one stage took over the last frames, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(slots=True, kw_only=True)
class Hello:
    """What a reader must know before the first frame; kept for those who join late.

    `stream`, `boot_id`, `host_boot_id` and `wall_time` are filled in by the publisher.
    """

    model: str
    classes: tuple[str, ...]  # label of class_id 0, 1, ...
    size: tuple[int, int]  # height, width of the source frames
    fps: float | None = None  # of the source; None: unknown or variable
    has_audio: bool = True  # False: the source has no sound, `audio` is always "absent"
    intrinsics: Intrinsics | None = None  # of the camera, for pictures of `size`; None: unknown
    frame_id: str = ""  # of the camera's axes, as in every result
    v: str = VERSION
    stream: str = ""
    boot_id: str = ""  # random per engine start
    host_boot_id: str | None = None  # of the sender's machine; None: it has none
    wall_time: float = 0.0  # seconds since 1970, metadata only


@dataclass(slots=True, kw_only=True)
class Status:
    """How a stream is doing: sent ten times a second, results or not.

    `stream`, `boot_id`, `host_boot_id`, `wall_time` and `monotonic_ns` are filled in by the
    publisher.
    """

    source: SourceState
    audio: AudioState
    video: VideoState
    epoch: int = 0
    seq: int | None = None  # of the last result; None: there was none yet
    captured: int = 0  # frames since the engine started
    processed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # cause -> frames
    latency: dict[str, StageLatency] = field(default_factory=dict)  # Stage -> latency
    model: ModelHealth = "ok"
    inputs: list[InputStatus] = field(default_factory=list)  # camera and microphone
    notices: list[Notice] = field(default_factory=list)  # the newest ones, oldest first
    degraded: list[str] = field(default_factory=list)  # what is given up to keep up, in order
    v: str = VERSION
    stream: str = ""
    boot_id: str = ""
    host_boot_id: str | None = None
    wall_time: float = 0.0  # seconds since 1970, metadata only
    monotonic_ns: int = 0  # when it was sent, the engine's clock


@dataclass(slots=True, kw_only=True)
class EndOfStream:
    """The last message of a stream.

    `stream`, `boot_id` and `wall_time` are filled in by the publisher.
    """

    reason: EndReason  # the source ended; the engine was told to stop; something broke
    detail: str = ""  # one sentence for people
    epoch: int = 0
    seq: int | None = None  # of the last result; None: there was none
    captured: int = 0  # frames since the engine started
    processed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # cause -> frames
    v: str = VERSION
    stream: str = ""
    boot_id: str = ""
    wall_time: float = 0.0  # seconds since 1970, metadata only


Message: TypeAlias = FrameResult | Status | Hello | EndOfStream

KINDS: Final[dict[Kind, type[Message]]] = {
    "frame": FrameResult,
    "status": Status,
    "hello": Hello,
    "eos": EndOfStream,
}
_KIND_OF: Final[dict[type, Kind]] = {cls: kind for kind, cls in KINDS.items()}
assert set(KINDS) == set(get_args(Kind)), "every kind has one type"

_STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOPIC = re.compile(rb"avis(\d{1,4})\.(?:([A-Za-z0-9_-]{1,64})\.([a-z]{1,16})\0)?")


def check_stream_name(name: str) -> str:
    """Return `name` if it may name a stream, so that no name is the prefix of another's topic.

    Raises:
        SchemaError: it is not 1 to 64 letters, digits, `_` or `-`.
    """
    if not _STREAM.fullmatch(name):
        raise SchemaError(
            f"stream name {name[:80]!r} is refused: use 1 to 64 letters, digits, '_' or '-'"
        )
    return name


def kind_of(message: Message) -> Kind:
    """Return the kind a message travels as."""
    return _KIND_OF[type(message)]


def topic(stream: str, kind: Kind) -> bytes:
    """Return what every message of one kind of one stream starts with."""
    return b"avis%d.%s.%s\0" % (MAJOR, check_stream_name(stream).encode(), kind.encode())


def parse_topic(data: bytes) -> tuple[str, Kind, int]:
    """Read the topic of a message: stream, kind, and where its payload starts.

    Raises:
        SchemaVersionError: it has another major version.
        SchemaError: it is no topic, or its kind is unknown.
    """
    match = _TOPIC.match(data)
    if match and int(match[1]) != MAJOR:
        raise SchemaVersionError(
            f"the message has schema version {int(match[1])} but this reader knows {VERSION}: "
            "use the same major version of streamavis on both sides"
        )
    if not match or match[2] is None:
        raise SchemaError(
            f"the message starts with {data[:40]!r}, expected avis{MAJOR}.STREAM.KIND\\0"
        )
    kind = match[3].decode()
    if kind not in KINDS:
        raise SchemaError(f"unknown kind {kind!r}, expected one of {', '.join(KINDS)}")
    return match[2].decode(), kind, match.end()
