"""The outputs that a caller names, as the sinks of one stream: the one place that builds them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamavis.io.container import BEST, Tracks
from streamavis.sinks.jsonl import JsonlSink
from streamavis.sinks.mcap import McapSink
from streamavis.sinks.publish import PublishSink, keys_for
from streamavis.sinks.record import RecordSink
from streamavis.status import EngineReport
from streamavis.viz import draw

if TYPE_CHECKING:
    from pathlib import Path

    from streamavis.protocols import Sink
    from streamavis.wire import Hello

__all__ = ["OpenSinks", "SinkPlan", "open_sinks"]

_NEVER_RAN = EngineReport(
    phase="failed",
    captured=0,
    processed=0,
    dropped={},
    stages={},
    duration_s=0.0,
    torch_threads=0,
)


@dataclass(frozen=True, kw_only=True)
class SinkPlan:
    """Where the results of one stream go; what is None is left out."""

    publish: str | None = None  # address
    keys: Path | None = None  # folder; see `keys_for`
    insecure: bool = False  # publish in clear beyond this machine
    jsonl: Path | None = None  # "-": standard output
    stamps: bool = False  # in the JSONL
    record: Path | None = None  # annotated video
    startable: Path | None = None  # a video that is recorded when `RecordSink.toggle` asks for it
    sound: Path | None = None  # whose sound the video has; None: what the stream hears
    tracks: Tracks = BEST  # of `sound`
    mcap: Path | None = None  # results, pictures and sound for Foxglove


@dataclass
class OpenSinks:
    """The sinks of one stream, open; the engine closes them."""

    sinks: list[Sink] = field(default_factory=list)
    wire: PublishSink | None = None
    recording: RecordSink | None = None


def open_sinks(plan: SinkPlan, hello: Hello, *, stream: str) -> OpenSinks:
    """Open what `plan` names. Where one cannot be opened, those before it are closed.

    Args:
        plan: what is wanted.
        hello: what readers are told of the stream; the video has its size and rate.
        stream: name of the stream.

    Raises:
        OutputError: a file cannot be written.
        WireError: the address is refused or in use, or there are no keys for it.
        MissingExtraError: `mcap` is named, and its package is not installed.
    """
    found = OpenSinks()
    with ExitStack() as undo:
        # The address first: when it is in use, no file has been replaced yet.
        if plan.publish is not None:
            keys = keys_for(plan.publish, plan.keys, plan.insecure)
            found.wire = PublishSink(plan.publish, stream, hello, keys=keys, insecure=plan.insecure)
            _add(found.wire, found, undo)
        if plan.jsonl is not None:
            _add(JsonlSink(plan.jsonl, stamps=plan.stamps), found, undo)
        path = plan.record or plan.startable
        if path is not None:
            found.recording = RecordSink(
                path,
                draw=draw,
                size=hello.size,
                fps=hello.fps,
                sound=plan.sound,
                tracks=plan.tracks,
                has_audio=hello.has_audio,
                start=plan.record is not None,
            )
            _add(found.recording, found, undo)
        if plan.mcap is not None:
            _add(McapSink(plan.mcap, hello, stream=stream), found, undo)
        undo.pop_all()
    return found


def _add(sink: Sink, found: OpenSinks, undo: ExitStack) -> None:
    found.sinks.append(sink)
    undo.callback(sink.close, _NEVER_RAN)
