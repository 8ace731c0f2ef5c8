"""`streamavis synth`: clips of the procedural world, with a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis_apps.data.check import counting
from streamavis_apps.exits import ExitCode
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from streamavis_apps.commands.options import Size

__all__ = ["run"]


def run(
    out: Path,
    n: int,
    seed: int,
    *,
    fps: float,
    size: Size,
    duration_s: float,
    jobs: int = 1,
    console: Console | None = None,
) -> ExitCode:
    """Write `n` clips to `out`, replacing an earlier data set of ours in it.

    Args:
        out: folder.
        n: clips.
        seed: of the set.
        fps: frames per second.
        size: of the pictures.
        duration_s: of a clip.
        jobs: processes.
        console: where progress goes; standard output by default.

    Raises:
        OutputError: `out` holds something else, or cannot be written.
    """
    from streamavis_training import synth
    from streamavis_training.world import WorldConfig

    console = console or Terminal()
    config = WorldConfig(width=size.width, height=size.height, fps=fps, duration_s=duration_s)
    with counting(console, "rendering") as progress:
        synth.write(out, n, seed, config=config, jobs=jobs, progress=lambda done: progress(done, n))
    clips = "1 clip" if n == 1 else f"{n} clips"
    console.print(
        f"{clips} of {config.duration_s:g} s, {config.width}x{config.height}, "
        f"{config.fps:g} frames/s, seed {seed}: {out}",
        markup=False,
        soft_wrap=True,
    )
    return ExitCode.DONE
