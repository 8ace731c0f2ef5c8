"""A rig in a process of its own: what `RigProcess` starts.

It reads one word a line: `unplug`, `plug`, `hang`, `freeze`, `repair`; and writes its camera's
address, then a line per picture that left. It ends with its input.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec

from streamavis_benchmarks.rigs.claps import Claps
from streamavis_benchmarks.rigs.mjpeg import Departure, MjpegCamera
from streamavis_benchmarks.rigs.sounds import looped, noisy_beeps
from streamavis_benchmarks.rigs.speaker import Speaker

__all__ = ["RigPlan", "main"]


class RigPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The camera, and what sounds beside it."""

    size: tuple[int, int]  # width, height
    fps: float
    speaker: str | None = None  # address of the sound server it plays to; None: there is none
    sound: str | None = None  # a recording; None: beeps in a noisy room
    claps: int | None = None  # seed of flashes and clicks, in place of other sound


def main() -> None:
    """Run the rig that the first argument describes."""
    plan = msgspec.json.decode(sys.argv[1], type=RigPlan)
    claps = None if plan.claps is None else Claps(plan.claps)
    with ExitStack() as stack:
        camera = stack.enter_context(
            MjpegCamera(plan.fps, size=plan.size, claps=claps, on_departure=_tell)
        )
        if plan.speaker is not None:
            sound = looped(Path(plan.sound)) if plan.sound else noisy_beeps
            stack.enter_context(Speaker(plan.speaker, sound if claps is None else claps.sound))
        _write(camera.url)
        for line in sys.stdin:
            _obey(line.strip(), camera)


def _obey(word: str, camera: MjpegCamera) -> None:
    match word:
        case "unplug":
            camera.unplug()
        case "plug":
            camera.plug()
        case "hang":
            camera.hanging.set()
        case "freeze":
            camera.frozen.set()
        case "repair":
            camera.hanging.clear()
            camera.frozen.clear()
        case _:
            raise ValueError(f"a rig does not know {word!r}")


def _tell(departure: Departure) -> None:
    _write(" ".join(map(str, departure)))


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
