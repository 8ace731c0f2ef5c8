"""`streamavis demo`: the whole path at work, from a clip to a second process."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from streamavis.errors import OutputError
from streamavis.sinks.window.sink import display_problem
from streamavis_apps.commands.options import AUTO, Compute, View, Web
from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.replay.replay import Replay, finish, ready
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from streamavis_apps.exits import Stop

__all__ = ["make_clip", "run", "show"]

_READY_S = 60.0  # a viewer that has not connected by then never will
_LEAVE_S = 5.0  # the viewer's time to print the end
_SILENCE_S = 10.0  # the viewer's timeout for the stream


def run(
    out: Path,
    *,
    seed: int,
    model: str = "nano",
    view: View | None = None,
    web: Web | None = None,
    compute: Compute = AUTO,
    console: Console | None = None,
) -> ExitCode:
    """Make the clip of `seed` unless `out` has it, and show it.

    Args:
        out: folder for the clip, the recording and the results; made if missing.
        seed: of the clip.
        model: shipped name or file.
        view: where to show pictures; None: a window where one can be opened.
        web: where the viewer in a browser listens, for that `view`.
        compute: where the model runs.
        console: standard output by default, which the second process shares.

    Raises:
        StreamAVISError: the model is not usable or an output cannot be written.
    """
    console = console or Terminal()
    out.mkdir(parents=True, exist_ok=True)
    clip = make_clip(out, seed, console)
    window = display_problem() is None if view is None else view is View.WINDOW
    plan = Replay(
        source=clip,
        model=model,
        publish="tcp://127.0.0.1:*",
        jsonl=out / "results.jsonl",
        record=out / "annotated.mp4",
        window=window,
        web=web if view is View.WEB else None,
        compute=compute,
    )
    code = show(plan, console)
    if code is ExitCode.DONE:
        console.print("\nYours next: streamavis replay CLIP.mp4 --record annotated.mp4")
    return code


def make_clip(out: Path, seed: int, console: Console) -> Path:
    """Write the demo's clip into `out`, once."""
    from streamavis_training.photo_demo import CLIP_VERSION, photo_clip
    from streamavis_training.synth import write_movie

    path = out / f"demo-{seed}-v{CLIP_VERSION}.mp4"
    if not path.exists():
        with console.status("making a clip of two photographs with synthetic voices"):
            partial = path.with_suffix(".partial.mp4")
            write_movie(partial, photo_clip(seed))
            partial.replace(path)
    return path


def show(plan: Replay, console: Console) -> ExitCode:
    """Replay `plan`, which publishes, while a second process prints what sounds.

    Raises:
        StreamAVISError: as `replay.run`; or the second process did not start.
    """
    with stop_on_signals() as stop, ready(plan, stop, console) as replay:
        info, address = replay.results.info, replay.endpoint
        assert address is not None, "the demo publishes"
        console.print(
            f"Replaying {plan.source} at real time: {info.duration_s or 0:.0f} s, "
            f"{info.width}x{info.height}, {info.fps or 0:g} frames/s, model {plan.model}.\n"
            f"A second process subscribes to {address} and prints what sounds:\n",
            markup=False,
            soft_wrap=True,
        )
        replay.wait_for_viewer(console, stop)
        with _viewer(address, stop):
            for _ in replay.results:
                pass
        console.print()
        finish(replay, console, plan.source.name)
        replay.stay(console, stop)
    return stop.exit_code


@contextmanager
def _viewer(address: str, stop: Stop) -> Iterator[None]:
    """A process that follows `address` on this terminal; the block starts once it listens."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "streamavis_apps", "view", address]
    command += ["--wait", f"{_SILENCE_S:g}", "--ready-fd", str(writing)]
    viewer = subprocess.Popen(command, pass_fds=[writing])
    os.close(writing)
    try:
        _wait_ready(reading, viewer, stop)
        yield
        # It ends with the stream; if that message was lost, it is terminated.
        with suppress(subprocess.TimeoutExpired):
            viewer.wait(_LEAVE_S)
    finally:
        os.close(reading)
        viewer.terminate()
        try:
            viewer.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            viewer.kill()
            viewer.wait()


def _wait_ready(reading: int, viewer: subprocess.Popen[bytes], stop: Stop) -> None:
    """Wait until the viewer is connected: earlier messages would be lost."""
    deadline_s = time.monotonic() + _READY_S
    while not stop.event.is_set() and not select.select([reading], [], [], 0.1)[0]:
        if time.monotonic() > deadline_s:
            raise OutputError(f"the viewer did not connect within {_READY_S:g} s")
    # The end of the pipe without a byte: it has ended, or is ending.
    if not stop.event.is_set() and not os.read(reading, 1):
        raise OutputError(f"the viewer ended at once, with exit code {viewer.wait(_LEAVE_S)}")
