"""Processes that are started together: they end together, and the first error is told."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from pathlib import Path

import pytest
from streamavis_apps.exits import Stop
from streamavis_apps.train.launch import launch

from streamavis.errors import InputError, StreamAVISError


def note(rank, stop, *, folder: Path):
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    (folder / str(rank)).write_text(" ".join(os.environ[name] for name in names))
    return True


def test_each_knows_its_place(tmp_path):
    assert launch(partial(note, folder=tmp_path), 2, Stop())
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["0 0 2", "1 1 2"]


def until(condition):
    """Wait for what another process does; without `runtime_fakes`, which takes torch along."""
    pause = threading.Event()
    for _ in range(60_000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("not within 60 s")


def wait(rank, stop, *, folder: Path):
    (folder / f"{rank}-{os.getpid()}").touch()
    until(stop)
    return False


class Asked(Stop):
    """A signal arrives as soon as both wait."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    @property
    def event(self):
        class Event:
            is_set = staticmethod(lambda: len(list(self._folder.iterdir())) == 2)

        return Event

    @event.setter
    def event(self, value):
        pass


def test_a_signal_reaches_all(tmp_path):
    assert not launch(partial(wait, folder=tmp_path), 2, Asked(tmp_path))


def fail(rank, stop, *, folder: Path):
    if rank == 0:
        return wait(rank, stop, folder=folder)
    until(lambda: list(folder.iterdir()))
    raise InputError("the picture x.jpg cannot be read")


def test_the_first_error_ends_all(tmp_path):
    with pytest.raises(StreamAVISError, match=r"^rank 1: the picture x\.jpg cannot be read$"):
        launch(partial(fail, folder=tmp_path), 2, Stop())
    (waiting,) = tmp_path.iterdir()
    with pytest.raises(ProcessLookupError):
        os.kill(int(waiting.name.partition("-")[2]), 0)


def die(rank, stop):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told():
    with pytest.raises(StreamAVISError, match=r"^ended with exit code -9; "):
        launch(die, 1, Stop())
