"""The web server's thread takes a share of a core, whatever visitors send."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from streamavis_apps.web import sparing
from streamavis_apps.web.sparing import SHARE, Share, SparingLoop
from streamavis_apps.web.web_view import WebView


class Thread:
    """A thread that works and pauses as told: its CPU time and the time."""

    def __init__(self):
        self.cpu_s = self.now_s = 100.0
        self.share = Share(0.25, 0.1, cpu=lambda: self.cpu_s, clock=lambda: self.now_s)
        self.share.pause_s()

    def work(self, cpu_s, waited_s=0.0):
        self.cpu_s += cpu_s
        self.now_s += cpu_s + waited_s

    def pause(self):
        pause_s = self.share.pause_s()
        self.now_s += pause_s
        return pause_s


def test_a_thread_that_always_has_work_takes_its_share():
    thread = Thread()
    for _ in range(1_000):
        thread.work(0.01)
        thread.pause()
    assert (thread.cpu_s - 100) / (thread.now_s - 100) == pytest.approx(0.25, rel=0.05)


def test_a_thread_below_its_share_never_pauses():
    thread = Thread()
    for _ in range(1_000):
        thread.work(0.002, waited_s=0.008)
        assert thread.pause() == 0


def test_a_burst_is_not_paused_for_and_idle_time_is_not_saved_up():
    thread = Thread()
    thread.work(0.09)
    assert thread.pause() == 0
    thread.now_s += 3_600
    thread.pause()
    thread.work(0.09)
    assert thread.pause() == 0
    thread.work(0.2)
    assert thread.pause() == pytest.approx((0.09 + 0.2 - 0.1 - 0.29 * 0.25) / 0.25)


def test_the_loop_pauses_before_it_waits_and_never_for_long(monkeypatch):
    pauses = []
    monkeypatch.setattr(sparing, "time", SimpleNamespace(sleep=pauses.append))
    monkeypatch.setattr(Share, "pause_s", lambda self: 7.0)
    loop = SparingLoop()
    try:
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
    assert set(pauses) == {0.05}
    assert 0 < SHARE < 1


def test_the_viewer_is_served_by_such_a_loop():
    with WebView(port=0) as view:
        assert isinstance(view._loop._choosing, sparing._Selector)


def test_a_loop_that_stops_does_not_pause(monkeypatch):
    monkeypatch.setattr(sparing, "time", SimpleNamespace(sleep=lambda _: 1 / 0))
    monkeypatch.setattr(Share, "pause_s", lambda self: 7.0)
    loop = SparingLoop()
    loop.hurry()
    try:
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
