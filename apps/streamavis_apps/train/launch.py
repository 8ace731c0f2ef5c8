"""Several processes of one program: started and stopped together, the first error reported."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from multiprocessing import connection
from typing import TYPE_CHECKING, Protocol

from streamavis.errors import StreamAVISError
from streamavis_apps.exits import describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from multiprocessing.synchronize import Event

    from streamavis_apps.exits import Stop

__all__ = ["Work", "launch"]

_POLL_S = 0.2  # how soon a signal to this process reaches the others


class Work(Protocol):
    """What each process does; must be importable, with arguments that can be pickled."""

    def __call__(self, rank: int, stop: Callable[[], bool]) -> bool:
        """Work until done or until `stop` is set; True if done."""


def launch(work: Work, processes: int, stop: Stop) -> bool:
    """Run `work` in `processes` new processes and wait for all of them.

    Args:
        work: called with each process's rank; RANK, LOCAL_RANK and WORLD_SIZE are set for it.
        stop: where a signal to this process arrives; passed on to the others' `stop`.

    Returns:
        True if every process was done.

    Raises:
        StreamAVISError: a process failed; the text is of the first one. The others were ended.
    """
    context = multiprocessing.get_context("spawn")
    stopping = context.Event()
    children: list[tuple[SpawnProcess, Connection]] = []
    # Ctrl-C reaches the whole process group: only this process signals the children.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for rank in range(processes):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (work, rank, processes, stopping, theirs, os.getpid())
            child = context.Process(target=_child, args=arguments, name=f"rank {rank}")
            child.start()
            theirs.close()
            children.append((child, ours))
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        return _wait(children, stopping, stop)
    finally:
        for child, _ in children:
            child.kill()  # nothing where it has ended
            child.join()


def _wait(children: list[tuple[SpawnProcess, Connection]], stopping: Event, stop: Stop) -> bool:
    running, done = list(children), True
    while running:
        ended = connection.wait([child.sentinel for child, _ in running], _POLL_S)
        for child, pipe in [one for one in running if one[0].sentinel in ended]:
            running.remove((child, pipe))
            child.join()
            try:
                outcome = pipe.recv()
            except EOFError:
                outcome = f"ended with exit code {child.exitcode}; -9: memory may have run out"
            if isinstance(outcome, bool):
                done = done and outcome
            else:
                raise StreamAVISError(f"{child.name}: {outcome}" if len(children) > 1 else outcome)
        if stop.event.is_set():
            stopping.set()
    return done


def _child(
    work: Work, rank: int, processes: int, stopping: Event, pipe: Connection, parent: int
) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: terminated.set())

    def stop() -> bool:
        return stopping.is_set() or terminated.is_set() or os.getppid() != parent

    try:
        outcome: bool | str | None = work(rank, stop)
    except BaseException as error:
        outcome = describe(error)
        if outcome is None:
            traceback.print_exc()
            outcome = f"internal error: {type(error).__name__}: {error} (a bug in StreamAVIS)"
    pipe.send(outcome)
