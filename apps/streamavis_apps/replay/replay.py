"""`streamavis replay`: a recorded clip through the engine, as if it were live."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import streamavis
from streamavis.bearing import Geometry
from streamavis.clock import PausableClock
from streamavis.errors import OutputError, OutputPathError, TruncatedInputError
from streamavis.io.container import BEST, Tracks
from streamavis.io.media import MediaSource
from streamavis.sinks.outputs import SinkPlan, open_sinks
from streamavis.sinks.window.sink import WindowSink
from streamavis.wire import Hello
from streamavis_apps.commands.options import AUTO, Compute
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.replay.progress import ReplayProgress
from streamavis_apps.results.summary import print_summary
from streamavis_apps.sources import is_stdout
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from rich.console import Console

    from streamavis import Stream
    from streamavis.api import OpenSource
    from streamavis.io.media import MediaInfo
    from streamavis.model import StreamAVIS
    from streamavis.sinks.record import RecordSink
    from streamavis_apps.commands.options import Web
    from streamavis_apps.replay.again import Passes
    from streamavis_apps.web.web_view import WebView

__all__ = ["Ready", "Replay", "finish", "play", "ready", "run"]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What to replay and where the results go."""

    source: Path
    tracks: Tracks = BEST
    speed: float | None = 1.0  # times real time; None or infinity: as fast as possible
    model: str = "nano"  # shipped name or file
    publish: str | None = None  # address
    keys: Path | None = None  # folder; see `keys_for`
    insecure: bool = False
    jsonl: Path | None = None  # "-": standard output
    record: Path | None = None
    mcap: Path | None = None
    window: bool = False
    web: Web | None = None  # serve the viewer in a browser
    stamps: bool = False  # in the JSONL
    geometry: Geometry = field(default_factory=Geometry)
    compute: Compute = AUTO

    @property
    def stream(self) -> str:
        """Name of the stream: that of the file, in the letters a stream name may have."""
        return re.sub(r"[^A-Za-z0-9_-]+", "-", self.source.stem).strip("-")[:64] or "main"


@dataclass(frozen=True)
class Ready:
    """A replay whose input and outputs are open; it runs as `results` are taken."""

    results: Stream
    files: dict[str, str]  # what each output is -> where it is
    endpoint: str | None  # where results are published
    recording: RecordSink | None
    viewer: WebView | None  # in a browser
    passes: Passes | None  # of a viewer in a browser: plays on after the end

    @property
    def outputs(self) -> dict[str, str]:
        """What each output is -> where it is; recordings may be started on the way."""
        recorded = self.recording.files if self.recording is not None else []
        return self.files | ({"video": ", ".join(map(str, recorded))} if recorded else {})

    def wait_for_viewer(self, console: Console, stop: Stop) -> None:
        """With a web viewer: print its address and wait for the first page."""
        if self.viewer is not None:
            console.print(f"open {self.viewer.url}", markup=False, soft_wrap=True)
            console.print("It begins with the first viewer; Ctrl-C ends it.")
            self.viewer.wait(stop.event)

    def stay(self, console: Console, stop: Stop) -> None:
        """With a web viewer: play again on request, until the last page is closed."""
        if self.passes is not None and not stop.event.is_set():
            console.print("The page can play it again. Close the last page or press Ctrl-C to end.")
            self.passes.follow(self.results, stop)


def run(plan: Replay, *, console: Console | None = None, stop: Stop | None = None) -> ExitCode:
    """Replay to the end, or until `stop` is asked for (SIGINT and SIGTERM do by default).

    Raises:
        TruncatedInputError: the input broke off; the outputs hold what could be decoded.
        StreamAVISError: input, model or an output is not usable; says which and why.
    """
    console = console or Terminal(stderr=is_stdout(plan.jsonl))
    with stop_on_signals(stop) as stop, ready(plan, stop, console) as replay:
        replay.wait_for_viewer(console, stop)
        play(replay, console, plan.source.name)
        replay.stay(console, stop)
    return stop.exit_code


@contextmanager
def ready(plan: Replay, stop: Stop, console: Console) -> Iterator[Ready]:
    """Open everything `plan` names; outputs are touched once input and model are known good.

    Raises:
        StreamAVISError: input, model or an output is not usable; says which and why.
    """
    _check_paths(plan)
    clock = PausableClock()
    with (
        _window(plan, stop, clock) as window,
        _viewer(plan) as viewer,
        _cancelled(plan, stop) as cancelled,
        MediaSource(plan.source, tracks=plan.tracks, array=plan.geometry.array) as media,
    ):
        source: OpenSource = media
        with stop.leaving_at_once():
            # Brings torch, which takes seconds to load: a bad input is reported first.
            from streamavis_apps.loading import load_warm

            size = (media.info.height, media.info.width)
            model = load_warm(plan.model, [size], console, plan.compute)
        hello = _hello(plan, model, media.info)
        named = {"results": plan.jsonl, "recording": plan.mcap}
        outputs = {what: str(path) for what, path in named.items() if path is not None}
        found = open_sinks(_sinks(plan, media), hello, stream=plan.stream)
        sinks, wire, recording = found.sinks, found.wire, found.recording
        if window is not None:
            window.recording = recording
            window.introduce(hello.model, hello.classes)
            sinks.append(window)
        passes: Passes | None = None
        if viewer is not None:
            from streamavis_apps.replay.again import Passes
            from streamavis_apps.web.playback import Playback
            from streamavis_apps.web.steering import Strided

            # Outputs are of the recording as a whole: no seeking while they are written.
            playback = Playback(media.info.duration_s, seekable=not sinks)
            sinks.append(viewer.sink(plan.stream, hello, playback=playback))
            source = Strided(media, viewer.controls.stride)
            passes = Passes(
                plan.source,
                plan.stream,
                plan.speed,
                model,
                hello,
                viewer,
                playback,
                plan.geometry,
            )
        with streamavis.open(
            source,
            model,
            speed=plan.speed,
            stream=plan.stream,
            sinks=sinks,
            boot_id=wire.boot_id if wire else None,
            clock=clock,
            cancelled=cancelled,
            warm=True,
            geometry=plan.geometry,
        ) as results:
            if passes is not None:
                passes.playback.running(results.stop)
            endpoint = wire.endpoint if wire else None
            yield Ready(results, outputs, endpoint, recording, viewer, passes)


def play(replay: Ready, console: Console, name: str) -> None:
    """Run a replay to its end under a progress bar, then print what was measured.

    Raises:
        TruncatedInputError: the input broke off; the figures up to there were printed.
        StreamAVISError: the model or an output failed.
    """
    results = replay.results
    try:
        with ReplayProgress(console, name, results.info.duration_s) as progress:
            for result in results:
                progress.update(result, lambda: results.report)
    except TruncatedInputError:
        print_summary(console, name, results.report, replay.outputs)
        raise
    finish(replay, console, name)


def finish(replay: Ready, console: Console, name: str) -> None:
    """Print what was measured in a replay that is over.

    Raises:
        OutputError: an output failed on the way.
    """
    report = replay.results.report
    print_summary(console, name, report, replay.outputs)
    if report.sink_failures:
        causes = (f"{sink}: {cause}" for sink, cause in report.sink_failures.items())
        raise OutputError(f"an output failed and is incomplete; {'; '.join(causes)}")


@contextmanager
def _window(plan: Replay, stop: Stop, clock: PausableClock) -> Iterator[WindowSink | None]:
    """The window of a plan that has one, open; closed at the latest when the block is left."""
    if not plan.window:
        yield None
        return
    title = f"StreamAVIS {plan.source.name}"
    window = WindowSink(title, on_quit=stop.event.set, on_pause=clock.pause, clock=clock)
    try:
        yield window
    finally:
        window.dismiss()


@contextmanager
def _cancelled(plan: Replay, stop: Stop) -> Iterator[threading.Event]:
    """What ends the first pass: `stop`, or a request from the web viewer."""
    if plan.web is None:
        yield stop.event
        return
    from streamavis_apps.replay.again import until_stopped

    with until_stopped(stop) as cancelled:
        yield cancelled


@contextmanager
def _viewer(plan: Replay) -> Iterator[WebView | None]:
    """The viewer in a browser of a plan that has one, served until the block is left."""
    if plan.web is None:
        yield None
        return
    from streamavis_apps.web.web_view import WebView

    address = plan.web.address
    with WebView(host=address.host, port=address.port, token=plan.web.token) as view:
        yield view


def _check_paths(plan: Replay) -> None:
    """Refuse outputs that would destroy the input or each other."""
    named = [path for path in (plan.jsonl, plan.record, plan.mcap) if path is not None]
    outputs = [path.resolve() for path in named if not is_stdout(path)]
    if plan.source.resolve() in outputs:
        raise OutputPathError(f"{plan.source}: is the input itself; give the output another name")
    if len(set(outputs)) < len(outputs):
        twice = next(path for path in outputs if outputs.count(path) > 1)
        raise OutputPathError(f"{twice}: is named twice; give each output a name of its own")


def _sinks(plan: Replay, media: MediaSource) -> SinkPlan:
    """The outputs of a plan, and what `r` in the window starts and stops.

    A pipe is read once, so its sound is recorded from the decoded samples instead of copied.
    """
    return SinkPlan(
        publish=plan.publish,
        keys=plan.keys,
        insecure=plan.insecure,
        jsonl=plan.jsonl,
        stamps=plan.stamps,
        record=plan.record,
        startable=Path(f"streamavis-{plan.stream}.mp4") if plan.window else None,
        sound=plan.source if media.info.has_audio and not media.once else None,
        tracks=plan.tracks,
        mcap=plan.mcap,
    )


def _hello(plan: Replay, model: StreamAVIS, info: MediaInfo) -> Hello:
    return Hello(
        model=plan.model.rpartition("/")[2],
        classes=model.config.classes,
        size=(info.height, info.width),
        fps=info.fps,
        has_audio=info.has_audio,
        intrinsics=plan.geometry.intrinsics((info.height, info.width)),
        frame_id=plan.geometry.frame_id,
    )
