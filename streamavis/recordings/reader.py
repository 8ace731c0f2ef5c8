"""Reading recordings again: the messages of the wire in an MCAP file."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from streamavis.errors import ArgumentError, InputError, MissingExtraError, SchemaError
from streamavis.types import FrameResult
from streamavis.wire.codec import restore
from streamavis.wire.schema import KINDS, Hello, Kind, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcap.records import Channel, Chunk, McapRecord

__all__ = ["Recorded", "Recording", "Summary"]

_MAX_RECORD: Final = 64 << 20  # bytes of one record of the file, packed or unpacked
_MAX_MESSAGE: Final = 4 << 20  # bytes of a message as JSON; as msgpack it has 1 MiB at most
_MAX_CHANNELS: Final = 10_000
_TOPIC: Final = re.compile(rf"/([A-Za-z0-9_-]{{1,64}})/({'|'.join(KINDS)})")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message and when it was recorded."""

    time_ns: int  # since 1970
    message: Message


@dataclass(frozen=True, slots=True)
class Summary:
    """What a recording has of one stream."""

    stream: str
    frames: int
    first_ns: int  # of its messages, since 1970
    last_ns: int
    hello: Hello | None  # the first; None: it has none
    size: tuple[int, int] | None  # height, width of the first frame


class Recording:
    """An MCAP file that `McapWriter` or a program with the same topics has written.

    Nothing in the file is trusted: sizes are checked before memory is taken, and messages as they
    are when they come over the wire. A file that was cut is read up to the cut.

    Attributes:
        cut: why reading ended before the file's own end, one sentence; empty: it did not, or the
            file has not been read yet.
        refused: messages of the last reading that do not follow the schema.
    """

    def __init__(self, path: str | Path) -> None:
        """Name the file; it is opened each time it is read.

        Raises:
            InputError: it is absent, or no MCAP file.
            MissingExtraError: mcap is not installed.
        """
        try:
            import mcap.stream_reader  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "mcap", "mcap") from error
        self.path = Path(path)
        self.cut = ""
        self.refused = 0
        with self._open() as file:
            magic = file.read(8)
        if magic != b"\x89MCAP0\r\n":
            raise InputError(f"{self.path}: is no MCAP file: it begins with {magic!r}")

    def messages(self, stream: str | None = None) -> Iterator[Recorded]:
        """Yield the messages of the wire in the order in which they were written.

        Args:
            stream: of this one alone; None: of every stream.
        """
        from mcap import records

        self.cut, self.refused = "", 0
        channels: dict[int, tuple[str, Kind]] = {}
        for record in self._records():
            if isinstance(record, records.Channel):
                _note(channels, record)
            elif isinstance(record, records.Message) and record.channel_id in channels:
                named, kind = channels[record.channel_id]
                if stream not in (None, named):
                    continue
                try:
                    message = _restored(named, kind, record.data)
                except SchemaError:
                    self.refused += 1
                    continue
                yield Recorded(record.log_time, message)

    def summary(self, stream: str | None = None) -> Summary:
        """Read all of the file and say what it has of one stream.

        Args:
            stream: which; None: the only one there is.

        Raises:
            InputError: the file has no frames.
            ArgumentError: it has no such stream, or several and none is named.
        """
        found: dict[str, Summary] = {}
        for recorded in self.messages():
            message = recorded.message
            now = found.get(message.stream)
            if now is None:
                at = recorded.time_ns
                now = Summary(message.stream, 0, at, at, None, None)
            is_frame = isinstance(message, FrameResult)
            found[message.stream] = Summary(
                stream=now.stream,
                frames=now.frames + is_frame,
                first_ns=min(now.first_ns, recorded.time_ns),
                last_ns=max(now.last_ns, recorded.time_ns),
                hello=now.hello or (message if isinstance(message, Hello) else None),
                size=now.size or (message.size if isinstance(message, FrameResult) else None),
            )
        names = ", ".join(sorted(found))
        if not any(one.frames for one in found.values()):
            raise InputError(f"{self.path}: has no results of StreamAVIS")
        if stream is None and len(found) > 1:
            raise ArgumentError(f"{self.path}: has the streams {names}; name one of them: --stream")
        stream = stream or names
        if stream not in found:
            raise ArgumentError(f"{self.path}: has no stream {stream!r}; it has {names}")
        return found[stream]

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _records(self) -> Iterator[McapRecord]:
        """Yield every record outside and inside chunks, up to the end or to a fault."""
        from mcap.exceptions import EndOfFile, McapError
        from mcap.records import Chunk, DataEnd
        from mcap.stream_reader import StreamReader

        with self._open() as file:
            reader = StreamReader(_Bounded(file), emit_chunks=True, record_size_limit=_MAX_RECORD)  # type: ignore[arg-type]
            try:
                for record in reader.records:
                    if isinstance(record, Chunk):
                        yield from _unpacked(record)
                    elif isinstance(record, DataEnd):
                        return
                    else:
                        yield record
            except EndOfFile:
                self.cut = "the file was cut: it ends in the middle of a record"
            except OSError as error:
                raise InputError(f"{self.path}: cannot be read: {error.strerror}") from error
            except (McapError, ValueError, struct.error, _DamagedError) as error:
                self.cut = f"the file is damaged: {error or type(error).__name__}"


class _DamagedError(Exception):
    """What a record says of itself cannot be."""


class _Bounded:
    """A file that is read in whole pieces of bounded size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        from mcap.exceptions import EndOfFile

        if size > _MAX_RECORD:
            raise _DamagedError(f"a record claims {size} bytes, at most {_MAX_RECORD}")
        data = self._file.read(size)
        if len(data) < size:
            raise EndOfFile
        return data


def _note(channels: dict[int, tuple[str, Kind]], channel: Channel) -> None:
    """Remember a channel that holds messages of the wire."""
    match = _TOPIC.fullmatch(channel.topic)
    if match is None or channel.message_encoding != "json":
        return
    if len(channels) >= _MAX_CHANNELS:
        raise _DamagedError(f"more than {_MAX_CHANNELS} channels")
    kind = next(kind for kind in KINDS if kind == match[2])
    channels[channel.id] = match[1], kind


def _restored(stream: str, kind: Kind, data: bytes) -> Message:
    if len(data) > _MAX_MESSAGE:
        raise SchemaError(f"the message has {len(data)} bytes, at most {_MAX_MESSAGE}")
    try:
        fields = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"malformed {kind} message: {error}") from error
    if not isinstance(fields, dict):
        raise SchemaError(f"expected an object of fields but got {type(fields).__name__}")
    return restore(stream, kind, fields)


def _unpacked(chunk: Chunk) -> list[McapRecord]:
    """The records of a chunk, whose size was checked before and after it was unpacked."""
    import zstandard
    from mcap.records import Chunk
    from mcap.stream_reader import breakup_chunk

    size = chunk.uncompressed_size
    if size > _MAX_RECORD:
        raise _DamagedError(f"a chunk claims {size} bytes, at most {_MAX_RECORD}")
    data = chunk.data
    if chunk.compression == "zstd":
        unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_RECORD)
        try:
            data = unpacker.stream_reader(data).read(size + 1)
        except zstandard.ZstdError as error:
            raise _DamagedError(str(error)) from error
    elif chunk.compression:
        raise _DamagedError(
            f"its chunks are packed with {chunk.compression[:20]!r}, expected zstd or nothing"
        )
    if len(data) != size:
        raise _DamagedError(f"a chunk claims {size} bytes, but has {len(data)}")
    plain = Chunk(
        compression="",
        data=data,
        message_start_time=chunk.message_start_time,
        message_end_time=chunk.message_end_time,
        uncompressed_crc=chunk.uncompressed_crc,
        uncompressed_size=size,
    )
    return breakup_chunk(plain, validate_crc=True)
