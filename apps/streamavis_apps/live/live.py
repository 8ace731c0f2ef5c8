"""`streamavis live`: cameras and microphones through the engine, as they come."""

from __future__ import annotations

import logging
import re
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from streamavis.bearing import Geometry
from streamavis.clock import Clock, MonotonicClock
from streamavis.errors import InputAddressError, InputError, OutputError, StoppedError
from streamavis.io.live import LiveSource
from streamavis.io.live.devices import check_camera, recorded_size, sound_device
from streamavis.sinks.metrics_server import loopback, serve_metrics
from streamavis.wire import Hello
from streamavis.words import detects
from streamavis_apps.commands.options import AUTO, Compute, View
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.live.panel import LiveBoard
from streamavis_apps.live.sinks import Outputs, Wanted
from streamavis_apps.live.views import BROWSER
from streamavis_apps.results.summary import print_summary
from streamavis_apps.sources import is_stdout
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from streamavis.model import StreamAVIS
    from streamavis.runtime.engine import Engine

__all__ = ["Live", "Running", "follow", "leave", "named", "ready", "run"]

_NAMED = re.compile(r"([A-Za-z0-9_-]{1,64})=(.+)", re.DOTALL)
_DRAW_S = 0.2
_ANSWER_S = 3.0  # what a camera's host is granted, before all else is made ready
_USUAL = (720, 1280)  # of the pictures the model is warmed up with: height, width
_LEAVE_S = 0.3  # what closed devices are granted to let go; their threads are left behind then
_STEP_S = 0.5  # what a stop grants the engine to end the step it is in
_ENGINE_S = 1.3  # and to close its outputs, in all; the page has the rest of the 2 s


@dataclass(frozen=True, kw_only=True)
class Live:
    """What to watch and where the results go."""

    cameras: tuple[str, ...]  # addresses, each with `NAME=` before it if it should have one
    microphone: str | None = None  # address or "none"; None: the camera's own, else the default
    sound_offset_s: float = 0.0  # how late the sound is against the picture
    model: str = "nano"  # shipped name or file
    wanted: Wanted = field(default_factory=Wanted)
    metrics: str | None = None  # HOST:PORT
    least_hz: float = 5.0  # results per second every stream must be able to have
    seconds: float | None = None  # how long; None: until stopped
    geometry: Geometry = field(default_factory=Geometry)
    compute: Compute = AUTO


@dataclass(frozen=True)
class Running:
    """An engine whose sources and outputs are open; `engine.run` starts it."""

    engine: Engine
    board: LiveBoard
    outputs: dict[str, str]  # what each is -> where it is


def run(plan: Live, *, console: Console | None = None, stop: Stop | None = None) -> ExitCode:
    """Watch until `stop` is asked for (SIGINT and SIGTERM do by default) or all streams ended.

    Raises:
        StreamAVISError: a camera, microphone, output or the model is not usable, or the machine
            is too slow for this many streams; says which and why.
    """
    console = console or Terminal(stderr=is_stdout(plan.wanted.jsonl))
    with stop_on_signals(stop) as stop, ExitStack() as stack:
        # The board shows what the journal logs; with logging set up it is logged too.
        logging.getLogger("streamavis.runtime.journal").addHandler(logging.NullHandler())
        try:
            with stop.leaving_at_once():
                live = stack.enter_context(ready(plan, console, stop))
        except StoppedError:
            return stop.exit_code
        follow(live, console, stop, plan.seconds)
    return stop.exit_code


def named(cameras: tuple[str, ...]) -> dict[str, str]:
    """Stream name -> address: as given by `NAME=ADDRESS`, else `main`, or `cam-1`, `cam-2`, ...

    Raises:
        InputError: there is none, or two have one name.
    """
    if not cameras:
        raise InputAddressError(
            "no camera is named; try --camera camera:0, or `streamavis devices`"
        )
    streams: dict[str, str] = {}
    for number, camera in enumerate(cameras, 1):
        given = _NAMED.fullmatch(camera)
        name = given[1] if given else "main" if len(cameras) == 1 else f"cam-{number}"
        if name in streams:
            raise InputAddressError(f"two cameras are called {name}; give each a name of its own")
        streams[name] = given[2] if given else camera
    return streams


@contextmanager
def ready(plan: Live, console: Console, stop: Stop) -> Iterator[Running]:
    """Open everything `plan` names, measure whether the machine is up to it, and hold it open.

    Raises:
        StreamAVISError: as `run`.
    """
    clock = MonotonicClock()
    cameras = named(plan.cameras)
    sharing = list(cameras.values()).count(BROWSER)
    _check_sharing(sharing, plan.wanted.view)
    if plan.metrics is not None:
        loopback(plan.metrics)
    with ExitStack() as stack:
        # First: a camera that a browser shares comes through the view.
        wanted = replace(plan.wanted, sharing=sharing > 0)
        outputs = stack.enter_context(Outputs(wanted, stop))
        if sharing:
            where = f"open {outputs.places['view']} and share a camera"
            console.print(where, markup=False, soft_wrap=True)
        sizes = _check_addresses(plan, cameras, console)
        # No camera runs while torch loads, which holds up every other thread for seconds: what
        # came meanwhile would only wait for the first result.
        # Brings torch: a bad address is reported first.
        from streamavis.admission import admit, measure
        from streamavis.warmup import warm_up
        from streamavis_apps.loading import load_warm

        model = load_warm(plan.model, [_USUAL] * len(cameras), console, plan.compute)
        title = plan.model.rpartition("/")[2]
        console.print(detects(title, model.config.classes), markup=False, soft_wrap=True)
        opened: dict[str, LiveSource] = {}
        stack.callback(_release, opened)

        def open_all(names: list[str]) -> None:
            for name in names:
                with console.status(f"opening {name}"):
                    opened[name] = _opened(plan, cameras[name], outputs, clock, stop)

        recordings = list(sizes)
        open_all([name for name in cameras if name not in recordings])
        sizes |= {name: (s.info.height, s.info.width) for name, s in opened.items()}
        ordered = [sizes[name] for name in cameras]
        if len(cameras) > 1:
            admit(measure(model, ordered, clock), plan.least_hz)
        elif ordered != [_USUAL]:
            warm_up(model, ordered)
        # Last: a recording plays from the moment it is opened, and would lose its beginning.
        open_all(recordings)
        sources = {name: opened[name] for name in cameras}
        board = LiveBoard(console)
        engine = _engine(plan, sources, model, outputs, board, clock, stop)
        if plan.metrics is not None:
            address = stack.enter_context(serve_metrics(plan.metrics, lambda: engine.reports))
            outputs.places["metrics"] = address
        yield Running(engine, board, outputs.places)


def _opened(plan: Live, address: str, outputs: Outputs, clock: Clock, stop: Stop) -> LiveSource:
    """A camera with its sound, once its first picture came.

    Raises:
        InputError: it cannot be opened; no browser shared one in the plan's time.
        StoppedError: `stop` was asked for.
    """
    shared = outputs.camera if address == BROWSER else None
    if shared is not None and plan.seconds is not None:
        shared = replace(shared, opening_s=plan.seconds)
    try:
        return LiveSource(
            shared or address,
            plan.microphone,
            clock,
            sound_offset_s=plan.sound_offset_s,
            cancelled=stop.event,
            array=plan.geometry.array,
        )
    except InputError as error:
        if shared is None or plan.seconds is None:
            raise
        cure = "open the page and share a camera there, or allow more --seconds"
        raise InputError(f"{error}; {cure}") from error


def _check_addresses(
    plan: Live, cameras: dict[str, str], console: Console
) -> dict[str, tuple[int, int]]:
    """Refuse what certainly cannot be opened, before the model is loaded.

    Returns:
        Stream name -> height and width of the pictures, of recordings alone.

    Raises:
        InputError: an address is malformed or does not answer, or a recording cannot be read.
    """
    if plan.microphone not in (None, "none"):
        sound_device(plan.microphone)
    sizes: dict[str, tuple[int, int]] = {}
    for name, address in cameras.items():
        if address != BROWSER:
            with console.status(f"asking for {name}"):
                check_camera(address, _ANSWER_S)
                size = recorded_size(address)
            if size is not None:
                sizes[name] = size
    return sizes


def _check_sharing(cameras: int, view: View) -> None:
    """Refuse a browser's camera where no page can share one.

    Raises:
        InputError: there is no page, or one page would have to be two cameras.
    """
    if cameras and view is not View.WEB:
        raise InputAddressError(
            f"--camera {BROWSER} is shared from the page of the viewer; add --view web"
        )
    if cameras > 1:
        raise InputAddressError(
            f"--camera {BROWSER} is named {cameras} times; "
            "only one browser camera at a time is possible"
        )


def _engine(
    plan: Live,
    sources: dict[str, LiveSource],
    model: StreamAVIS,
    outputs: Outputs,
    board: LiveBoard,
    clock: Clock,
    stop: Stop,
) -> Engine:
    from streamavis.runtime.engine import Engine, Feed, Policy
    from streamavis.runtime.governor import Governor
    from streamavis.session import Session

    feeds = []
    for place, (name, source) in enumerate(sources.items()):
        info = source.info
        geometry = _geometry_of(plan, name, len(sources))
        hello = Hello(
            model=plan.model.rpartition("/")[2],
            classes=model.config.classes,
            size=(info.height, info.width),
            fps=info.fps,
            has_audio=info.has_audio,
            intrinsics=geometry.intrinsics((info.height, info.width)),
            frame_id=geometry.frame_id,
            boot_id=outputs.boot_id,
        )
        session = Session(model, stream=name, has_audio=info.has_audio, clock=clock)
        sinks = outputs.of(hello, info, stream=name, place=place, several=len(sources) > 1)
        shown = [*sinks, board.sink(name)]
        feeds.append(Feed(source, session, shown, outputs.stride, geometry))
    return Engine(
        feeds,
        Policy(live=True),
        clock=clock,
        boot_id=outputs.boot_id,
        cancelled=stop.event,
        governor=Governor(),
    )


def _geometry_of(plan: Live, stream: str, streams: int) -> Geometry:
    """Of one camera; of several each has its name in its frame_id."""
    known = plan.geometry
    if streams == 1 or not known.frame_id:
        return known
    return replace(known, frame_id=f"{known.frame_id}_{stream}")


def _release(sources: dict[str, LiveSource]) -> None:
    """Close them all, and wait for all of them together."""
    for source in sources.values():
        source.close()
    end_s = time.monotonic() + _LEAVE_S
    for source in sources.values():
        source.join(max(0.0, end_s - time.monotonic()))


def leave(engine: Engine, worker: threading.Thread) -> None:
    """Stop an engine that `worker` runs, in bounded time: the outputs are closed in any case.

    A step that does not end (a busy machine, a device that hangs) is left behind with its thread.
    """
    end_s = time.monotonic() + _ENGINE_S
    engine.stop()
    worker.join(_STEP_S)
    if not engine.leave():
        worker.join(max(0.0, end_s - time.monotonic()))


def follow(live: Running, console: Console, stop: Stop, seconds: float | None = None) -> None:
    """Run the engine on a thread of its own under a board, then print what was measured.

    Raises:
        StreamAVISError: the only stream's source failed for good, or an output failed.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            live.engine.run()
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=work, name="streamavis-engine", daemon=True)
    for what, where in live.outputs.items():
        console.print(f"{what}  {where}", markup=False, soft_wrap=True)
    with live.board.showing(lambda: live.engine.reports):
        worker.start()
        left_s = float("inf") if seconds is None else seconds
        while worker.is_alive() and not stop.event.wait(min(_DRAW_S, left_s)):
            left_s -= _DRAW_S
            if left_s <= 0:
                break
            live.board.draw()
        if stop.event.is_set():
            leave(live.engine, worker)
        else:
            live.engine.stop()
            worker.join()
        live.board.draw()
    reports = live.engine.reports
    for name, report in reports.items():
        print_summary(console, name, report, {})
    if failures:
        raise failures[0]
    broken = [
        f"{sink} of {name}: {cause}"
        for name, report in reports.items()
        for sink, cause in report.sink_failures.items()
    ]
    if broken:
        raise OutputError(f"an output failed and is incomplete; {'; '.join(broken)}")
