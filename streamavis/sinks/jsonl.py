"""One line of JSON for each result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from streamavis.io.jsonl import JsonlWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamavis.status import EngineReport
    from streamavis.types import FrameResult, VideoFrame

__all__ = ["JsonlSink"]


class JsonlSink:
    """One JSON line per frame; see `streamavis.io.jsonl.JsonlWriter`."""

    name: Literal["jsonl"] = "jsonl"
    inline: Literal[False] = False

    def __init__(self, path: str | Path, *, stamps: bool = False) -> None:
        """Create `path`, replacing what is there.

        Raises:
            OutputError: `path` cannot be written.
        """
        self._writer = JsonlWriter(path, stamps=stamps)

    def start(self, report: Callable[[], EngineReport]) -> None:
        """Nothing to prepare."""

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Append a line."""
        self._writer.write(result)

    def close(self, report: EngineReport) -> None:
        """Finish the file."""
        self._writer.close()
