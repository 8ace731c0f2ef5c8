"""`streamavis bench attack`: what it says of its figures, and that its attacks reach the site."""

from __future__ import annotations

import contextlib
import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from streamavis_apps.web.browser import BrowserSource
from streamavis_apps.web.web_view import WebView
from streamavis_benchmarks.attack import bench as attack_bench
from streamavis_benchmarks.attack import peers as attack_peers
from streamavis_benchmarks.attack.bench import ROWS, judge, run
from streamavis_benchmarks.attack.peers import Lender, Site, setting

from streamavis.clock import ManualClock

ROW = {
    "attack": "a",
    "reader": "robot",
    "sent": 1,
    "gap_s": (0.1, 0.2),
    "p50_ms": (40.0, 40.0),
    "p95_ms": (60.0, 61.0),
    "memory_mb": (80.0, 90.0, 81.0),
    "back_s": 0.0,
}


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, []),
        ({"gap_s": (0.1, 0.5)}, ["gap"]),
        ({"p95_ms": (60.0, 66.1)}, ["p95"]),
        ({"p95_ms": (1.0, 2.9)}, []),  # less than a scheduler's tick
        ({"p95_ms": (60.0, 600.0), "reader": "page"}, []),
        ({"back_s": None}, ["memory"]),
    ],
)
def test_the_goals_a_row_misses(changed, missed):
    assert judge(ROW | changed) == missed


def test_each_row_of_the_issue_has_an_attack():
    assert {"wire: prefixes", "wire: wrong keys", "web: settings", "web: lent pictures"} <= set(
        ROWS
    )
    assert all("robot" in kind.readers for kind in ROWS.values())


def test_a_row_is_printed_with_what_it_missed(monkeypatch):
    monkeypatch.setattr(attack_bench, "_measure", lambda *_: [ROW | {"gap_s": (0.1, 4.75)}])
    console = Console(file=io.StringIO(), width=200)
    run(["wire: prefixes"], seconds=1, console=console)
    assert "0.10 -> 4.75" in console.file.getvalue()
    assert "gap" in console.file.getvalue()


def test_a_flood_of_settings_reaches_the_page(monkeypatch):
    moments = iter([0.0] * 5 + [2.0])
    clock = SimpleNamespace(monotonic=lambda: next(moments), sleep=lambda _: None)
    monkeypatch.setattr(attack_peers, "time", clock)
    with WebView(port=0) as view:
        port = int(view.url.rpartition(":")[2].strip("/"))
        assert setting(2)(Site(pid=0, wire=0, web=port), 1.0) >= 100


def test_a_lender_begins_and_its_pictures_arrive():
    source = BrowserSource()
    with WebView(port=0, source=source) as view, contextlib.ExitStack() as stack:
        port = int(view.url.rpartition(":")[2].strip("/"))
        capture = source.capture(ManualClock())
        lender = stack.enter_context(Lender(port, b"\xff\xd8not a picture"))
        stack.callback(capture.abort)
        while capture.refused < 2:  # taken, and refused as a picture
            message, arrived_ns = capture._next()
            if hasattr(message, "jpeg"):
                list(capture._see(message, arrived_ns))
        assert lender.sent >= 2
