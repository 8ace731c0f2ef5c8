"""Robots that stall, and an engine that dies: seen from the other end of the wire."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest
import zmq
from runtime_fakes import until

from streamavis.types import FrameResult
from streamavis.wire import Hello, Publisher, Subscriber

DEADLINE_S = 60.0
ADDRESS = "tcp://127.0.0.1:*"
HELLO = Hello(model="fake", classes=("dog",), size=(6, 8))

ENGINE = """
import itertools, time
from streamavis.types import FrameResult
from streamavis.wire import Hello, Publisher
hello = Hello(model="fake", classes=("dog",), size=(6, 8))
with Publisher("tcp://127.0.0.1:*", "cam", hello=hello) as publisher:
    print(publisher.endpoint, flush=True)
    for seq in itertools.count():
        publisher.publish(
            FrameResult("cam", 0, seq, seq, (6, 8), "ok", 0.0, "ok", "driver", [])
        )
        time.sleep(0.02)
"""


def frame(seq: int, padding: int = 0) -> FrameResult:
    stamps = {"x" * 250 + str(n): n for n in range(min(60, padding))}
    return FrameResult("cam", 0, seq, seq, (6, 8), "ok", 0.0, "ok", "driver", [], stamps=stamps)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_eight_readers_that_never_read_cost_no_memory_and_delay_nobody():
    def resident_mb() -> float:
        with open("/proc/self/statm") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * 4096 / 1e6

    with zmq.Context() as context, Publisher(ADDRESS, "cam", hello=HELLO) as publisher:
        stuck = []
        for _ in range(8):
            reader = context.socket(zmq.SUB)
            reader.set(zmq.RCVHWM, 1)
            reader.set(zmq.RCVBUF, 4096)
            reader.subscribe(b"avis1.")
            reader.connect(publisher.endpoint)
            assert reader.poll(DEADLINE_S * 1e3)
            stuck.append(reader)
        with Subscriber(publisher.endpoint) as healthy:
            until(lambda: publisher.publish(frame(0)) or healthy.receive(0.01))
            for seq in range(1, 300):
                publisher.publish(frame(seq, padding=60))
                while healthy.receive(DEADLINE_S).seq != seq:
                    pass
            before = resident_mb()
            for seq in range(300, 2000):
                publisher.publish(frame(seq, padding=60))
                while healthy.receive(DEADLINE_S).seq != seq:
                    pass
            assert resident_mb() - before < 5, "25 MB were sent to each"
        for reader in stuck:
            reader.close(0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_an_engine_that_freezes_or_dies_is_silence_and_the_robot_is_called(number):
    engine = subprocess.Popen([sys.executable, "-c", ENGINE], stdout=subprocess.PIPE, text=True)
    try:
        assert engine.stdout is not None
        endpoint = engine.stdout.readline().strip()
        called = threading.Event()
        with Subscriber(endpoint, dead_man_s=0.5, on_silence=called.set) as robot:
            assert robot.receive(DEADLINE_S) is not None
            called.clear()
            engine.send_signal(number)
            until(lambda: robot.receive(0.05) is None and robot.silent)
            assert called.is_set()
            if number == signal.SIGSTOP:
                engine.send_signal(signal.SIGCONT)
                until(lambda: robot.receive(0.05) is not None and not robot.silent)
    finally:
        engine.kill()
        engine.wait(60)
        engine.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX's")
def test_a_half_dead_engine_is_dropped_by_the_heartbeat():
    """Its connection stays open, but nobody answers: ZeroMQ's heartbeat closes it."""
    engine = subprocess.Popen([sys.executable, "-c", ENGINE], stdout=subprocess.PIPE, text=True)
    try:
        assert engine.stdout is not None
        endpoint = engine.stdout.readline().strip()
        with Subscriber(endpoint) as robot:
            assert robot.receive(DEADLINE_S) is not None
            socket = robot._links[0].socket
            socket.monitor("inproc://heartbeat", zmq.EVENT_DISCONNECTED)
            monitor = robot._context.socket(zmq.PAIR)
            monitor.connect("inproc://heartbeat")
            engine.send_signal(signal.SIGSTOP)
            seen = monitor.poll(DEADLINE_S * 1e3)
            monitor.close(0)
            assert seen, "no DISCONNECTED event"
    finally:
        engine.kill()
        engine.wait(60)
        engine.stdout.close()
