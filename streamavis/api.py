"""`streamavis.open`: results of a clip, frame by frame, in one call."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from streamavis import checkpoint
from streamavis.errors import ArgumentError
from streamavis.io.live import LiveSource
from streamavis.io.media import MediaInfo, MediaSource
from streamavis.protocols import Source
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.warmup import warm_up

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from streamavis.bearing import Geometry
    from streamavis.clock import Clock
    from streamavis.protocols import Sink
    from streamavis.runtime.step import StepModel
    from streamavis.runtime.tracks import TrackConfig
    from streamavis.status import EngineReport
    from streamavis.types import FrameResult

__all__ = ["OpenSource", "Stream", "open"]


class OpenSource(Source, Protocol):
    """Frames and sound of your own; it is iterated on a thread of its own."""

    @property
    def info(self) -> MediaInfo: ...


class Stream:
    """Results of one source: an iterator and a context manager.

    Nothing is read before the first result is asked for, and the source is decoded a little
    ahead of it. A loop that is left early, by `break` or by an error, stops the stream.
    """

    def __init__(self, engine: Engine, info: MediaInfo, resources: ExitStack) -> None:
        self.info = info
        self._engine = engine
        self._resources = resources
        self._results = engine.results()

    def __iter__(self) -> Iterator[FrameResult]:
        return self

    def __next__(self) -> FrameResult:
        """The next frame's result.

        Raises:
            TruncatedInputError: the input broke off; everything before it was delivered.
            ModelOutputError: the model gave NaN or infinity.
        """
        try:
            return next(self._results)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @property
    def report(self) -> EngineReport:
        """Frames, drops and latencies per stage: so far, and in full once the stream is over."""
        return self._engine.report

    def stop(self) -> None:
        """End soon, from any thread: at most one more result comes."""
        self._engine.stop()

    def close(self) -> None:
        """Stop and release everything; safe to call twice.

        A source that does not answer within 2 s is left behind, open.
        """
        self._results.close()
        if not self._engine.reading:
            self._resources.close()


def open(
    source: str | Path | OpenSource,
    model: str | Path | StepModel = "nano",
    *,
    speed: float | None = None,
    live: bool = False,
    stream: str = "main",
    sinks: Sequence[Sink] = (),
    tracks: TrackConfig | None = None,
    boot_id: str | None = None,
    clock: Clock | None = None,
    cancelled: threading.Event | None = None,
    warm: bool = False,
    geometry: Geometry | None = None,
) -> Stream:
    """See and hear a source: an iterator over one `FrameResult` per frame.

        for result in streamavis.open("clip.mp4", model="nano"):
            for track in result.tracks:
                print(result.seq, track.id, track.label, track.sounding, track.box)

    Args:
        source: a file, an address, `lavfi:GRAPH`, or an object that yields frames and sound.
        model: a shipped model's name, a `.safetensors` file, or a model.
        speed: 1.0 paces a recording in real time, 2.0 twice as fast; None: as fast as possible.
        live: take the freshest frame and drop stale ones, for sources that do not wait.
        stream: name the results carry, 1 to 64 letters, digits, `_` or `-`.
        sinks: get every result as well, and are closed with the stream.
        tracks: when objects are born, the same, and forgotten.
        boot_id: names this run in the results; random by default.
        clock: paces and stamps; a `PausableClock` can hold a recording.
        cancelled: whoever sets it stops the stream.
        warm: the model has run on pictures of this size; else it does so here, on noise, so that
            the first frame is not late: kernels are built, memory is allocated.
        geometry: of camera and microphones; results then have bearings. A source of your own
            yields the sound's `SoundBearing` itself.

    Raises:
        InputError: the source cannot be opened; names it and the cause.
        CheckpointError: the model is unknown, damaged, or of another kind or version.
        ArgumentError: `speed` is not positive, or given for a live source.
    """
    if live and speed is not None:
        raise ArgumentError(f"a live source sets its own pace, but speed={speed} was given")
    resources = ExitStack()
    array = None if geometry is None else geometry.array
    try:
        if isinstance(source, str | Path):
            if live:
                live_source = LiveSource(str(source), clock=clock, array=array)
                source = resources.enter_context(live_source)
            else:
                source = resources.enter_context(MediaSource(source, array=array))
        if isinstance(model, str | Path):
            model = checkpoint.load(model)
        if not warm:
            warm_up(model, [(source.info.height, source.info.width)])
        session = Session(
            model,
            stream=stream,
            has_audio=source.info.has_audio,
            frame_period_s=1 / source.info.fps if source.info.fps else 0.0,
            tracks=tracks,
            clock=clock,
        )
        engine = Engine(
            [Feed(source, session, sinks, geometry=geometry)],
            Policy(live, speed),
            clock=clock,
            boot_id=boot_id,
            cancelled=cancelled,
        )
    except BaseException:
        resources.close()
        raise
    return Stream(engine, source.info, resources)
