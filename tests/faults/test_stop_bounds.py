"""SIGTERM ends a program in bounded time, whatever engine, sinks and clients do."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace

import pytest
from live_rig import Rig
from runtime_fakes import FakeModel, assert_no_threads
from streamavis_apps.live import live
from streamavis_apps.web import server as served
from streamavis_apps.web import web_view as viewed
from streamavis_apps.web.web_view import WebView

DEADLINE_S = 60.0
STEP_S, ENGINE_S = live._STEP_S, live._ENGINE_S  # before `unhurried` changes them


class Sources:
    """Opened sources whose drivers do not let go; the clock goes on while one is waited for."""

    def __init__(self, number):
        self.now_s = 0.0
        self.closed = []
        self.all = {str(n): self.source(n) for n in range(number)}

    def source(self, n):
        def join(timeout_s):
            assert len(self.closed) == len(self.all), "all are closed before one is waited for"
            self.now_s += timeout_s

        return SimpleNamespace(close=lambda: self.closed.append(n), join=join)


def test_sources_are_released_together(monkeypatch):
    sources = Sources(5)
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: sources.now_s))
    live._release(sources.all)
    assert sources.now_s == pytest.approx(live._LEAVE_S)


class Engine:
    """One whose step ends, or does not, and that notes what it is told."""

    def __init__(self, ends):
        self.told = []
        self.waits = []
        self.now_s = 0.0
        self.ends = ends

    def stop(self):
        self.told.append("stop")

    def leave(self):
        self.told.append("leave")
        return not self.ends

    def join(self, timeout_s):
        self.waits.append(timeout_s)
        self.now_s += timeout_s


@pytest.mark.parametrize("ends", [True, False])
def test_an_engine_is_waited_for_in_bounded_time(monkeypatch, ends):
    engine = Engine(ends)
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: engine.now_s))
    monkeypatch.setattr(live, "_STEP_S", STEP_S)
    monkeypatch.setattr(live, "_ENGINE_S", ENGINE_S)
    live.leave(engine, engine)
    assert engine.told == ["stop", "leave"]
    assert sum(engine.waits) == pytest.approx(ENGINE_S if ends else STEP_S)


def test_a_step_that_does_not_end_leaves_no_sink_open():
    in_step, go_on = threading.Event(), threading.Event()
    model = FakeModel()

    def hang(_):
        in_step.set()
        assert go_on.wait(DEADLINE_S)

    model.on_step = hang
    rig = Rig("cam", "other", model=model)
    runner = threading.Thread(target=rig.engine.run)
    runner.start()
    for tap in rig.taps.values():
        tap.frame()
    assert in_step.wait(DEADLINE_S)
    assert rig.engine.leave()
    for sink in rig.sinks.values():
        assert len(sink.closed) == 1
    assert not rig.engine.leave()
    go_on.set()
    runner.join(DEADLINE_S)
    assert not runner.is_alive()
    assert all(len(sink.closed) == 1 for sink in rig.sinks.values())
    assert_no_threads()


def test_a_step_that_ended_is_closed_by_the_engine_itself():
    rig = Rig("cam")
    runner = threading.Thread(target=rig.engine.run)
    runner.start()
    rig.engine.stop()
    runner.join(DEADLINE_S)
    assert not rig.engine.leave()
    assert all(len(sink.closed) == 1 for sink in rig.sinks.values())


def test_the_sinks_of_several_streams_close_at_once():
    rig = Rig("a", "b", "c")
    together = threading.Barrier(3, timeout=DEADLINE_S)
    for sink in rig.sinks.values():
        sink.close = lambda report, close=sink.close: (together.wait(), close(report))
    runner = threading.Thread(target=rig.engine.run)
    runner.start()
    rig.engine.stop()
    runner.join(DEADLINE_S)
    assert all(len(sink.closed) == 1 for sink in rig.sinks.values())
    assert not any(rig.report(name).sink_failures for name in rig.sinks)


UPGRADE = (
    "GET /view HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def test_clients_that_neither_read_nor_answer_do_not_keep_the_page_from_closing(monkeypatch):
    """Of every wait the bound is checked, none is waited for."""
    view = WebView(port=0)
    port = int(view.url.rpartition(":")[2].strip("/"))
    clients = [socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) for _ in range(8)]
    for client in clients[:4]:
        client.sendall(UPGRADE.format(port=port).encode())
        assert b"101" in client.recv(1 << 16)
    for client in clients[4:]:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0")
    view.close()
    assert not view._thread.is_alive()
    assert view._loop.is_closed()
    for client in clients:
        client.close()


def test_the_waits_of_a_stop_fit_into_its_promise():
    page_s = viewed._END_S + viewed._LEAVE_S + viewed._CLOSE_S
    assert served._GOODBYE_S < viewed._LEAVE_S
    assert page_s < viewed._STOP_S
    assert STEP_S < ENGINE_S
    assert ENGINE_S + page_s <= 1.9
