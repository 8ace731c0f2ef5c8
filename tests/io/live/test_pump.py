import os
import subprocess
import threading
from pathlib import Path

import pytest

from streamavis.errors import InputError
from streamavis.io.child import pump
from streamavis.io.child.messages import ChildRequest
from streamavis.io.child.pump import Pump

HANGS = "import os, signal; os.write(1, b'\\0'); os.kill(os.getpid(), signal.SIGSTOP)"


def test_a_child_that_hangs_is_killed_at_once(monkeypatch):
    started, children, real = threading.Event(), [], subprocess.Popen

    def start(*args, **options):
        children.append(real(*args, **options))
        started.set()
        return children[0]

    monkeypatch.setattr(pump, "_PROGRAM", HANGS)
    monkeypatch.setattr(pump.subprocess, "Popen", start)
    running, got = Pump(ChildRequest("list"), "fake"), []
    reader = threading.Thread(target=lambda: got.extend(running))
    reader.start()
    assert started.wait(60)
    os.waitid(os.P_PID, children[0].pid, os.WSTOPPED | os.WNOWAIT)
    running.abort()
    reader.join(60)
    assert not reader.is_alive()
    assert children[0].returncode == -9


@pytest.mark.parametrize("program", ["", "import sys; sys.exit(3)", "raise SystemError"])
def test_a_child_that_ends_is_an_error(monkeypatch, program):
    monkeypatch.setattr(pump, "_PROGRAM", program)
    with pytest.raises(InputError, match="fake: its capture process ended unexpectedly"):
        list(Pump(ChildRequest("list"), "fake"))


def test_a_request_nobody_knows_fails_with_the_childs_words():
    with pytest.raises(InputError, match="fake: No such file or directory"):
        list(Pump(ChildRequest("packets", "/does/not/exist"), "fake"))


def test_no_descriptor_is_left_open():
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(InputError):
            list(Pump(ChildRequest("packets", "/does/not/exist"), "fake"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_aborted_before_it_began_it_yields_nothing():
    running = Pump(ChildRequest("list"), "fake")
    running.abort()
    assert list(running) == []
