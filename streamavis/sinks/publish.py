"""Results, status and end of stream for readers on the network."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from streamavis.bearing import Camera
from streamavis.errors import ArgumentError, WireError
from streamavis.types import SourceEvent
from streamavis.wire import EndOfStream, Hello, Publisher, StageLatency, Status
from streamavis.wire.address import is_local
from streamavis.wire.checks import MAX_TEXT
from streamavis.wire.keys import default_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamavis.status import EngineReport, Phase
    from streamavis.types import AudioChunk, AudioGap, FrameResult, Heard, SourceState, VideoFrame
    from streamavis.wire.schema import EndReason


__all__ = ["PublishSink", "end_of", "keys_for", "resized", "status_of"]

_SOURCE_STATE: dict[Phase, SourceState] = {
    "ended": "ended",
    "stopped": "ended",
    "truncated": "failed",
    "failed": "failed",
}
_END_REASON: dict[Phase, EndReason] = {
    "running": "failed",  # the sink itself failed
    "ended": "ended",
    "stopped": "stopped",
    "truncated": "failed",
    "failed": "failed",
}


class PublishSink:
    """Results, status and end of stream over ZeroMQ.

    Inline: to publish is to encode and to hand over to the publisher's own thread, which waits
    for no reader.
    """

    name: Literal["publish"] = "publish"
    inline: Literal[True] = True

    def __init__(
        self,
        address: str,
        stream: str,
        hello: Hello,
        *,
        keys: Path | None = None,
        insecure: bool = False,
    ) -> None:
        """Bind `address` and greet readers; `streamavis.wire.Publisher` says what it may be.

        The engine must run under this sink's `boot_id`. `keys` and `insecure` are the publisher's.

        Raises:
            WireError: the address is refused or in use, or the keys cannot be used.
        """
        self._hello = hello
        self._report: Callable[[], EngineReport] | None = None
        self._last: FrameResult | None = None
        self._publisher = Publisher(
            address, stream, hello=hello, status=self._status, keys=keys, insecure=insecure
        )

    @property
    def boot_id(self) -> str:
        """Names this run in every message."""
        return self._publisher.boot_id

    @property
    def endpoint(self) -> str:
        """Where readers connect, with the port that was bound."""
        return self._publisher.endpoint

    def start(self, report: Callable[[], EngineReport]) -> None:
        """From now on the status tells how the stream is doing."""
        self._report = report

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Publish one result; where the picture is not what readers were told, tell them first."""
        if result.size != self._hello.size:
            self._hello = resized(self._hello, result.size)
            self._publisher.hello(self._hello)
        self._publisher.publish(result)
        self._last = result

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Tell at once how a source is doing that has changed, between two statuses."""
        if isinstance(item, SourceEvent) and self._report is not None:
            with suppress(WireError):  # the stream has ended meanwhile
                self._publisher.status(self._status())

    def close(self, report: EngineReport) -> None:
        """Say that the stream is over, and give the address back."""
        end = end_of(report, self._last)
        try:
            self._publisher.end(end)
        finally:
            self._publisher.close(end.reason)

    def _status(self) -> Status:
        """Called on the publisher's thread, ten times a second."""
        report = None if self._report is None else self._report()
        return status_of(report, self._last, self._hello)


def resized(hello: Hello, size: tuple[int, int]) -> Hello:
    """The same hello for pictures of another size, its camera's geometry with them."""
    known = hello.intrinsics
    if known is not None:
        camera = Camera(hello.size, known.fx, known.fy, known.cx, known.cy, known.distortion)
        try:
            known = camera.scaled(size).intrinsics
        except ArgumentError:  # another part of the view
            known = None
    return replace(hello, size=size, intrinsics=known)


def status_of(report: EngineReport | None, last: FrameResult | None, hello: Hello) -> Status:
    """How a stream is doing, as the wire says it.

    Args:
        report: of its engine; None before it starts.
        last: the newest result, if any.
        hello: how the stream was announced.
    """
    audio = last.audio if last else ("ok" if hello.has_audio else "absent")
    video = last.video if last else "ok"
    if report is None:
        return Status(source="starting", audio=audio, video=video)
    return Status(
        source=_SOURCE_STATE.get(report.phase, report.source),
        audio=report.audio or audio,
        video=report.video or video,
        epoch=last.epoch if last else 0,
        seq=last.seq if last else None,
        captured=report.captured,
        processed=report.processed,
        dropped=report.dropped,
        latency={
            stage: StageLatency(
                p50_ms=times["p50_ms"],
                p95_ms=times["p95_ms"],
                p99_ms=times["p99_ms"],
                max_ms=times["max_ms"],
            )
            for stage, times in report.stages.items()
        },
        model=report.model,
        inputs=[
            replace(known, source=known.source[:MAX_TEXT], reason=known.reason[:MAX_TEXT])
            for known in report.inputs
        ],
        notices=[replace(notice, text=notice.text[:MAX_TEXT]) for notice in report.notices],
        degraded=report.degraded,
    )


def end_of(report: EngineReport, last: FrameResult | None) -> EndOfStream:
    """The last words of a stream, as the wire says them; `last` is its newest result, if any."""
    return EndOfStream(
        reason=_END_REASON[report.phase],
        detail="the input broke off" if report.phase == "truncated" else "",
        epoch=last.epoch if last else 0,
        seq=last.seq if last else None,
        captured=report.captured,
        processed=report.processed,
        dropped=report.dropped,
    )


def keys_for(address: str, keys: Path | None, insecure: bool) -> Path | None:
    """Return the key folder to publish `address` with; None: in clear.

    Beyond this machine the user's own folder is taken unless another is named or `insecure` says
    to do without.

    Raises:
        WireError: the address is malformed, or beyond this machine and there are no keys yet.
    """
    if keys is not None or insecure or is_local(address):
        return keys
    folder = default_folder()
    if not folder.exists():
        raise WireError(
            f"{address} reaches beyond this machine, where only readers with a key may read, and "
            f"there are no keys in {folder}; run: streamavis keys init, then for each reader: "
            "streamavis keys add NAME (or let everybody read with --insecure)"
        )
    return folder
