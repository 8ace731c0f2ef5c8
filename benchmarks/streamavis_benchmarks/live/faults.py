"""Faults of a rig: how each is injected and cleared."""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Self

from streamavis_benchmarks.faults.watch import has_recovered
from streamavis_benchmarks.rigs.process import Program

if TYPE_CHECKING:
    from types import TracebackType

    from streamavis_benchmarks.faults.watch import Fault, Seen
    from streamavis_benchmarks.rigs import SoundServer
    from streamavis_benchmarks.rigs.process import RigProcess

__all__ = ["RIG_FAULTS", "RigFaults", "faults_of"]

RIG_FAULTS: tuple[Fault, ...] = ("close", "hang", "freeze", "mic", "mic-hang", "reader", "disk")


def faults_of(*, microphone: bool, record: bool) -> tuple[Fault, ...]:
    """What there is to break, with or without a microphone, a recording."""
    absent = set() if microphone else {"mic", "mic-hang"}
    absent |= set() if record else {"disk"}
    return tuple(fault for fault in RIG_FAULTS if fault not in absent)


class RigFaults:
    """Breaks one thing at a time around a running `streamavis live`; a context manager.

    `reader` stops a second subscriber and lets it go on; `disk` is a full disk to the process
    that records: the file may not grow (RLIMIT_FSIZE), so that no disk has to be filled.
    """

    def __init__(
        self, rig: RigProcess, server: SoundServer | None, seen: Seen, pid: int, endpoint: str
    ) -> None:
        """Prepare.

        Args:
            rig: whose camera breaks.
            server: whose microphone breaks; None: there is none.
            seen: the latest messages at the robot.
            pid: of the live process.
            endpoint: where its results are.
        """
        self._rig = rig
        self._server = server
        self._seen = seen
        self._pid = pid
        self._fault: Fault | None = None
        self._read_ns = 0  # capture time of the second reader's latest result
        command = [sys.executable, "-m", "streamavis_benchmarks.rigs.reader", endpoint]
        self._reader = Program(command, self._take)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.kill()

    def set_fault(self, fault: Fault | None) -> None:
        """Inject a fault; None: clear it, and return when it is cleared.

        Raises:
            InputError: the sound server did not start again.
        """
        if fault is None:
            self._mend(self._fault)
        else:
            self._break(fault)
        self._fault = fault

    def has_recovered(self, fault: Fault, cleared_ns: int) -> bool:
        """Whether the affected reader has a good result from after `cleared_ns`."""
        if fault == "reader":
            return self._read_ns > cleared_ns
        return has_recovered(self._seen, fault, cleared_ns)

    def _break(self, fault: Fault) -> None:
        match fault:
            case "close":
                self._rig.say("unplug")
            case "hang" | "freeze":
                self._rig.say(fault)
            case "mic" if self._server is not None:
                self._server.kill()
            case "mic-hang" if self._server is not None:
                self._server.freeze()
            case "reader":
                os.kill(self._reader.process.pid, signal.SIGSTOP)
            case "disk":
                _limit_files(self._pid, 1)
            case _:
                raise ValueError(f"this rig cannot break {fault}")

    def _mend(self, fault: Fault | None) -> None:
        match fault:
            case "close":
                self._rig.say("plug")
            case "hang" | "freeze":
                self._rig.say("repair")
            case "mic" if self._server is not None:
                self._server.start()
            case "mic-hang" if self._server is not None:
                self._server.thaw()
            case "reader":
                os.kill(self._reader.process.pid, signal.SIGCONT)
            case "disk":
                _limit_files(self._pid, resource.RLIM_INFINITY)

    def _take(self, line: str) -> None:
        if line.isdecimal():
            self._read_ns = int(line)


def _limit_files(pid: int, most_bytes: int) -> None:
    """How large a file a process may write; its own wish stays within what it may wish."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    soft = hard if most_bytes == resource.RLIM_INFINITY else most_bytes
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
