"""Worker processes that work through tasks in order, ahead of time.

Not torch's: its loader raises a worker's death out of a signal handler, at any place of the
process that trains, and needs shared memory, of which a container has little.
"""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import queue
import signal
import threading
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import cv2
import torch

from streamavis.errors import CapacityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

__all__ = ["Work", "Workers"]

_AHEAD = 2  # tasks that each worker has been given and whose result nobody has taken
_Task = TypeVar("_Task", contravariant=True)
_Result = TypeVar("_Result", covariant=True)


class Work(Protocol[_Task, _Result]):
    """What a worker does with a task; pickled to every worker."""

    def __call__(self, task: _Task, /) -> _Result: ...


class _End:
    """The worker is gone."""


class Workers(Generic[_Task, _Result]):
    """Processes with a copy of `work` each. Close them, or they end with this process.

    A worker has one thread and ignores Ctrl-C; the process that started it ends it.
    """

    def __init__(self, work: Work[_Task, _Result], count: int) -> None:
        # A fork would copy locks that other threads hold.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._threads: list[threading.Thread] = []
        self._results: list[queue.SimpleQueue[Any]] = []
        try:
            for _ in range(count):
                ours, theirs = context.Pipe()
                self._pipes.append(ours)
                process = context.Process(target=_serve, args=(theirs, work), daemon=True)
                with _interrupts_blocked():
                    process.start()
                theirs.close()
                self._processes.append(process)
                results: queue.SimpleQueue[Any] = queue.SimpleQueue()
                thread = threading.Thread(target=_receive, args=(ours, results), daemon=True)
                thread.start()
                self._threads.append(thread)
                self._results.append(results)
        except BaseException:
            self.close()
            raise

    def run(self, tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Yield the result of every task, in order; tasks are taken a few ahead.

        Raises:
            CapacityError: a worker was killed.
        """
        count = len(self._processes)
        waiting = iter(tasks)
        given = done = 0
        for task in itertools.islice(waiting, count * _AHEAD):
            self._give(given % count, task)
            given += 1
        while done < given:
            worker = done % count
            result = self._results[worker].get()
            if isinstance(result, _End):
                self._processes[worker].join()
                code = self._processes[worker].exitcode
                raise CapacityError(
                    f"a worker process that makes batches ended with exit code {code}; if memory"
                    " ran out (-9), use fewer workers or fewer clips"
                )
            for task in itertools.islice(waiting, 1):
                self._give(given % count, task)
                given += 1
            done += 1
            yield result

    def close(self) -> None:
        """End the processes; safe to call twice."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for thread in self._threads:  # ends where its worker has
            thread.join()
        for pipe in self._pipes:
            pipe.close()

    def _give(self, worker: int, task: _Task) -> None:
        try:
            self._pipes[worker].send(task)
        except OSError:
            return  # it is gone, which its results tell


def _receive(pipe: Connection, results: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            results.put(pickle.loads(pipe.recv_bytes()))
    except (EOFError, OSError):
        results.put(_End())


def _serve(pipe: Connection, work: Work[Any, Any]) -> None:
    """Main function of a worker."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        while True:
            result = work(pipe.recv())
            # Not `send`: its pickler would put tensors into shared memory.
            pipe.send_bytes(pickle.dumps(result, pickle.HIGHEST_PROTOCOL))
    except (EOFError, OSError):
        return  # the process that started this one is gone


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process started meanwhile never gets SIGINT: it would die with a traceback of its own."""
    resource_tracker.ensure_running()  # or its own start would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
