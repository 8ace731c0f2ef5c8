"""Results as JSON lines: the wire's `frame` message, one line per frame."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from streamavis.errors import OutputError
from streamavis.io.claim import Claim
from streamavis.types import FrameResult, message_fields

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["JsonlWriter"]

_STDOUT = "-"
_STDOUT_LOCK = threading.Lock()  # several streams write to it, each from its own thread
_NAMES = tuple(field.name for field in fields(FrameResult))
# These differ between equal replays.
_OF_THIS_RUN = frozenset({"boot_id", "wall_time", "capture_wall_time", "stamps"})


class JsonlWriter:
    """Write one line per result, masks as COCO run lengths; a kill costs at most the last line.

    Without `stamps` the lines leave out `boot_id`, both wall times and `stamps`, so that two
    replays of one file are the same bytes.
    """

    def __init__(self, path: str | Path, stamps: bool) -> None:
        """Create `path`, replacing what is there; `-` is standard output.

        Raises:
            OutputError: `path` cannot be written, or another program is writing to it.
        """
        self._path = Path(path)
        self._names = [name for name in _NAMES if stamps or name not in _OF_THIS_RUN]
        self._encoder = msgspec.json.Encoder()
        self._lock = _STDOUT_LOCK if str(path) == _STDOUT else threading.Lock()
        self._claim: Claim | None = None
        if str(path) == _STDOUT:
            self._file = open(1, "wb", closefd=False)  # noqa: SIM115  closed by `close`
            return
        self._claim = Claim(self._path)
        assert self._claim.file is not None, "a claim just made has its file"
        try:
            if stat.S_ISREG(os.fstat(self._claim.file).st_mode):
                os.truncate(self._claim.file, 0)
            self._file = os.fdopen(self._claim.file, "wb", closefd=False)
        except OSError as error:
            self._claim.release()
            raise self._failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, result: FrameResult) -> None:
        """Append one line and hand it to the operating system.

        Raises:
            OutputError: the file cannot be written, or is closed.
        """
        if self._file.closed:
            raise OutputError(f"{self._path}: the file is closed")
        line = self._encoder.encode(message_fields(result, self._names))
        try:
            with self._lock:  # a line stays whole
                self._file.write(line + b"\n")
                self._file.flush()
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Finish the file; safe to call twice.

        Raises:
            OutputError: what was left could not be written.
        """
        try:
            self._file.close()
        except OSError as error:
            raise self._failure(error) from error
        finally:
            if self._claim is not None:
                self._claim.close()

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"{self._path}: cannot be written: {error.strerror}")
