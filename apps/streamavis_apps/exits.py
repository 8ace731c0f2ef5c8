"""How the `streamavis` command ends: exit codes, one-line errors, Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from streamavis.errors import (
    ArgumentError,
    MissingExtraError,
    StreamAVISError,
    TruncatedInputError,
)
from streamavis.redaction import redacted
from streamavis_apps.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["ExitCode", "Stop", "describe", "exit_code_of", "stop_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Modules the command uses that a base installation (a robot's side) does not have, by extra.
_EXTRAS = {
    **dict.fromkeys(("rich", "typer"), "cli"),
    **dict.fromkeys(("av", "cv2", "safetensors", "scipy", "sounddevice", "torch"), "engine"),
    "aiohttp": "web",
    **dict.fromkeys(("mcap", "zstandard"), "mcap"),
    "paho": "mqtt",
    "supervision": "supervision",
    **dict.fromkeys(("tensorboard", "torchaudio"), "train"),
}

_NO_BENCHMARKS = (
    "benchmarks come with a clone of the repository, not with the wheel; "
    "in a clone, install it with: pip install -e '.[engine]'"
)


class ExitCode(IntEnum):
    """What the shell sees; `streamavis --help` lists them."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # a wrong value: typer's own, and `ArgumentError`
    TRUNCATED = 3
    INTERRUPTED = 130  # 128 + SIGINT, as every shell does


def describe(error: BaseException) -> str | None:
    """One line for the user, or None when `error` is a bug of ours and needs its traceback."""
    if isinstance(error, StreamAVISError):
        return shown(redacted(" ".join(str(error).split())))
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        package = error.name.partition(".")[0]
        if package == "streamavis_benchmarks":
            return _NO_BENCHMARKS
        if package in _EXTRAS:
            return str(MissingExtraError(package, _EXTRAS[package]))
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return shown(redacted(f"{place}{error.strerror}"))
    return None


def exit_code_of(error: BaseException) -> ExitCode:
    """The exit code that `error` ends the command with."""
    if isinstance(error, TruncatedInputError):
        return ExitCode.TRUNCATED
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, ArgumentError):
        return ExitCode.USAGE
    return ExitCode.FAILED


@dataclass
class Stop:
    """A request to end soon and cleanly; threads wait on `event`."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: int | None = None  # that requested it; None: none
    at_once: bool = False  # nothing runs yet that needs an orderly end: a signal raises SystemExit

    @property
    def exit_code(self) -> ExitCode:
        """INTERRUPTED after Ctrl-C; DONE otherwise, also after SIGTERM."""
        return ExitCode.INTERRUPTED if self.signal == signal.SIGINT else ExitCode.DONE

    def request(self, number: int, _frame: FrameType | None = None) -> None:
        """Signal handler: the first signal requests a stop, a second Ctrl-C interrupts."""
        if self.event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        self.event.set()
        if self.at_once:
            raise SystemExit(self.exit_code)

    @contextmanager
    def leaving_at_once(self) -> Iterator[None]:
        """A start-up that waits for devices and libraries, and that a signal may break off."""
        self.at_once = True
        try:
            yield
        finally:
            self.at_once = False


@contextmanager
def stop_on_signals(given: Stop | None = None) -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a `Stop` for the time of the block (main thread only).

    Args:
        given: by a caller that asks for the stop itself; signals are then left as they are.
    """
    if given is not None:
        yield given
        return
    stop = Stop()
    before = {number: signal.signal(number, stop.request) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
