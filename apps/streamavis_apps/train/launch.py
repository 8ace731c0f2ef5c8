"""Several processes of one program: started together, stopped together, the first error told."""

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
        """Work until done or until `stop` says so; True if done."""


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
    asked = context.Event()
    children: list[tuple[SpawnProcess, Connection]] = []
    # Ctrl-C reaches the whole process group: the children are to hear of it from this one only.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for rank in range(processes):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (work, rank, processes, asked, theirs, os.getpid())
            child = context.Process(target=_child, args=arguments, name=f"rank {rank}")
            child.start()
            theirs.close()
            children.append((child, ours))
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        return _wait(children, asked, stop)
    finally:
        for child, _ in children:
            child.kill()  # nothing where it has ended
            child.join()


def _wait(children: list[tuple[SpawnProcess, Connection]], asked: Event, stop: Stop) -> bool:
    running, done = list(children), True
    while running:
        ended = connection.wait([child.sentinel for child, _ in running], _POLL_S)
        for child, pipe in [one for one in running if one[0].sentinel in ended]:
            running.remove((child, pipe))
            child.join()
            try:
                told = pipe.recv()
            except EOFError:
                told = f"ended with exit code {child.exitcode}; -9: memory may have run out"
            if isinstance(told, bool):
                done = done and told
            else:
                raise StreamAVISError(f"{child.name}: {told}" if len(children) > 1 else told)
        if stop.event.is_set():
            asked.set()
    return done


def _child(
    work: Work, rank: int, processes: int, asked: Event, pipe: Connection, parent: int
) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: terminated.set())

    def stop() -> bool:
        return asked.is_set() or terminated.is_set() or os.getppid() != parent

    try:
        told: bool | str | None = work(rank, stop)
    except BaseException as error:
        told = describe(error)
        if told is None:
            traceback.print_exc()
            told = f"internal error: {type(error).__name__}: {error} (a bug in StreamAVIS)"
    pipe.send(told)
