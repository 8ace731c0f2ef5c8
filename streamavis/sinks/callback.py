"""Each result to a function of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.status import EngineReport
    from streamavis.types import FrameResult, VideoFrame

__all__ = ["CallbackSink"]


class CallbackSink:
    """Calls a function with each result, on a thread of its own.

    Live, a function that is slow gets the newest results and never delays the stream: see
    `streamavis.protocols.Sink`. One that raises gets no more results, and the engine's report
    says why under `sink_failures`.
    """

    name: Literal["callback"] = "callback"
    inline: Literal[False] = False

    def __init__(self, call: Callable[[FrameResult], object]) -> None:
        """Call `call(result)` for each result; what it returns is ignored."""
        self._call = call

    def start(self, report: Callable[[], EngineReport]) -> None:
        """Nothing to prepare."""

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Call the function."""
        self._call(result)

    def close(self, report: EngineReport) -> None:
        """Nothing to finish."""
