"""`streamavis calibrate` on rigs whose flash and click happen at once: what it says, it errs."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from streamavis.errors import InputError
from streamavis_benchmarks.live.command import STREAMAVIS
from streamavis_benchmarks.rigs import Claps, SoundServer, TsSender
from streamavis_benchmarks.rigs.process import RigProcess
from streamavis_benchmarks.rigs.program import RigPlan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FPS", "clap_figures", "missed_claps"]

FPS = 30
_SAID = re.compile(r"([+-]\d+) ms \+- (\d+) ms.*by (\d+) claps of (\d+)", re.DOTALL)
_SPARE_S = 60.0


def clap_figures(folder: Path, seconds: float, *, microphone: bool) -> dict[str, Any]:
    """Offsets in ms (sound less picture) that should be 0, by where the sound comes from.

    Args:
        folder: empty; for a sound server.
        seconds: how long each is watched.
        microphone: whether there can be one here.

    Raises:
        InputError: calibrate failed; says what it wrote.
    """
    figures: dict[str, Any] = {"fps": FPS}
    if microphone:
        with ExitStack() as stack:
            server = SoundServer(folder)
            server.start()
            stack.callback(server.kill)
            plan = RigPlan(size=(160, 96), fps=FPS, speaker=server.address, claps=1)
            rig = stack.enter_context(RigProcess(plan))
            figures["microphone"] = _calibrate(
                rig.url, seconds, ["--mic", "mic:mic"], server.environment
            )
    for kind in ("tcp", "udp"):
        with TsSender(kind, fps=FPS, claps=Claps(2)) as sender:
            figures[kind] = _calibrate(sender.url, seconds)
    return figures


def missed_claps(figures: dict[str, Any]) -> list[str]:
    """The goal is one frame; one sentence for each that misses it."""
    frame_ms = 1000 / figures["fps"]
    return [
        f"claps by {name}: {said['offset_ms']:+d} ms, goal a frame, {frame_ms:.0f} ms"
        for name, said in figures.items()
        if name != "fps" and abs(said["offset_ms"]) > frame_ms
    ]


def _calibrate(
    source: str,
    seconds: float,
    options: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, int]:
    command = [*STREAMAVIS, "calibrate", source, "--seconds", str(seconds), *(options or ())]
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + _SPARE_S,
    )
    said = _SAID.search(done.stdout)
    if done.returncode or said is None:
        raise InputError(f"`streamavis calibrate {source}` failed: {done.stdout}{done.stderr}")
    names = ("offset_ms", "uncertainty_ms", "claps", "heard")
    return dict(zip(names, map(int, said.groups()), strict=True))
