"""Writing recordings: messages, pictures and sound in an MCAP file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from streamavis.errors import MissingExtraError, MisuseError, OutputError
from streamavis.recordings import foxglove
from streamavis.recordings.schemas import FOXGLOVE, wire_schema
from streamavis.types import SAMPLE_RATE, FrameResult
from streamavis.wire.checks import check_message
from streamavis.wire.schema import VERSION, Status, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from streamavis.wire.schema import Message

__all__ = ["McapWriter"]

_FLUSH_NS: Final = 1_000_000_000  # of recorded time: what a sudden end may lose
_CHUNK: Final = 256 * 1024  # bytes, before compression


class McapWriter:
    """Writes streams into one MCAP file, which Foxglove shows and `Recording` reads again.

    Topics of a stream: `/STREAM/frame`, `status`, `hello`, `eos` hold the messages of the wire as
    JSON; `annotations`, `masks`, `image`, `audio`, `log` hold Foxglove's. What was written is
    readable after a sudden end, up to the last second.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Create the file.

        Args:
            path: of the new file.
            overwrite: replace a file that is there.

        Raises:
            OutputError: there is a file already, or it cannot be written.
            MissingExtraError: mcap is not installed.
        """
        try:
            from mcap.writer import Writer
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "mcap", "mcap") from error
        self.path = Path(path)
        self.messages = 0  # of the wire
        try:
            self._file = self.path.open("wb" if overwrite else "xb")
        except FileExistsError as error:
            raise OutputError(
                f"{self.path}: exists already; choose another name, or replace it: --overwrite "
                "(overwrite=True)"
            ) from error
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._flushed_ns: int | None = None
        self._pictured: set[str] = set()  # streams with pictures of their own
        self._noticed: dict[str, tuple[str, int]] = {}  # stream -> boot id, newest notice
        self._writer = Writer(self._file, chunk_size=_CHUNK)
        self._do(lambda: self._writer.start(profile="", library=f"streamavis, wire {VERSION}"))

    @property
    def size(self) -> int:
        """Bytes that are in the file."""
        return 0 if self._file.closed else self._file.tell()

    def message(self, message: Message, time_ns: int) -> None:
        """Write a message of the wire, and what Foxglove shows of it.

        Args:
            message: of any kind.
            time_ns: when it came, since 1970; the time at which it is shown and played.

        Raises:
            SchemaError: a value is not allowed on the wire.
            OutputError: the file cannot be written.
        """
        check_message(message)
        kind, stream = kind_of(message), message.stream
        data = msgspec.json.encode(message)
        self._put(f"/{stream}/{kind}", f"streamavis.{kind}", data, time_ns, wire_schema(kind))
        self.messages += 1
        if isinstance(message, FrameResult):
            if stream not in self._pictured:
                shown = foxglove.masks_image(message, time_ns)
                self._show(stream, "masks", "CompressedImage", shown, time_ns)
            notes = foxglove.drawn(message, time_ns)
            self._show(stream, "annotations", "ImageAnnotations", notes, time_ns)
        elif isinstance(message, Status):
            self._log(message, time_ns)

    def picture(self, stream: str, data: bytes, time_ns: int, *, kind: str = "jpeg") -> None:
        """Write the picture of a frame, before its result; from then on no picture of masks.

        Args:
            stream: whose it is.
            data: a picture in a file format.
            time_ns: as of `message`; the same for a picture and its result.
            kind: the format: jpeg, png or webp.

        Raises:
            OutputError: the file cannot be written.
        """
        self._pictured.add(stream)
        shown = foxglove.compressed_image(data, kind, stream, time_ns)
        self._show(stream, "image", "CompressedImage", shown, time_ns)

    def sound(self, stream: str, samples: NDArray[np.float32], time_ns: int) -> None:
        """Write mono samples (N,) at `SAMPLE_RATE`; `time_ns` is that of the first.

        Raises:
            OutputError: the file cannot be written.
        """
        shown = foxglove.raw_audio(samples, SAMPLE_RATE, time_ns)
        self._show(stream, "audio", "RawAudio", shown, time_ns)

    def close(self) -> None:
        """Write the index and close the file; safe to call twice.

        Raises:
            OutputError: the file cannot be written.
        """
        if self._file.closed:
            return
        try:
            self._do(self._writer.finish)
            self._do(self._sync)
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _log(self, status: Status, time_ns: int) -> None:
        """Write the notices that the stream's earlier statuses did not have."""
        boot_id, newest = self._noticed.get(status.stream, (status.boot_id, 0))
        newest = newest if boot_id == status.boot_id else 0
        for notice in status.notices:
            if notice.number > newest:
                shown = foxglove.log(notice, status.stream, time_ns)
                self._show(status.stream, "log", "Log", shown, time_ns)
        newest = max([newest, *(notice.number for notice in status.notices)])
        self._noticed[status.stream] = status.boot_id, newest

    def _show(self, stream: str, name: str, schema: str, content: Any, time_ns: int) -> None:
        title = f"foxglove.{schema}"
        described = msgspec.json.encode(FOXGLOVE[title])
        self._put(f"/{stream}/{name}", title, msgspec.json.encode(content), time_ns, described)

    def _put(self, topic: str, title: str, data: bytes, time_ns: int, schema: bytes) -> None:
        if self._file.closed:
            raise MisuseError(f"{self.path} is closed; open another McapWriter")

        def write() -> None:
            if title not in self._schemas:
                self._schemas[title] = self._writer.register_schema(title, "jsonschema", schema)
            if topic not in self._channels:
                channel = self._writer.register_channel(topic, "json", self._schemas[title])
                self._channels[topic] = channel
            self._writer.add_message(self._channels[topic], time_ns, data, time_ns)
            if self._flushed_ns is None:
                self._flushed_ns = time_ns
            if abs(time_ns - self._flushed_ns) >= _FLUSH_NS:
                self._writer.flush()
                self._flushed_ns = time_ns

        self._do(write)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _do(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error
