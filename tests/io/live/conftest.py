"""No test of a live source leaves a thread behind."""

import threading

import pytest

LET_GO_S = 60.0


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        if thread.name.startswith("streamavis"):
            thread.join(LET_GO_S)
            assert not thread.is_alive(), f"left behind: {thread.name}"
