"""The replay's progress and its summary: what they say on a terminal and elsewhere."""

import io
import re

import pytest
from rich.console import Console
from streamavis_apps.replay.progress import ReplayProgress
from streamavis_apps.results.summary import print_summary

from streamavis.status import EngineReport
from streamavis.types import FrameResult

TIMES = {"count": 9, "mean_ms": 4.0, "p50_ms": 4.0, "p95_ms": 9.0, "p99_ms": 9.5, "max_ms": 9.9}
STAGES = ["receive", "decode", "queue", "preprocess", "model", "post", "publish", "total"]


def report(**changes):
    fields = {
        "phase": "ended",
        "captured": 100,
        "processed": 97,
        "dropped": {"stale": 2, "failed": 1},
        "stages": dict.fromkeys([*STAGES, "lateness"], TIMES),
        "duration_s": 10.0,
        "torch_threads": 1,
    }
    return EngineReport(**{**fields, **changes})


def result(seq):
    size = (180, 320)
    return FrameResult("cam", 0, seq, seq * 100_000_000, size, "ok", 0.0, "ok", "pts", [])


def show(*, terminal, duration_s=30.0, seconds=25):
    """Text of a replay at 10 frames/s of wall time."""
    out = io.StringIO()
    now = [0.0]
    console = Console(file=out, width=80, force_terminal=terminal, color_system=None)
    with ReplayProgress(console, "clip.mp4", duration_s, clock=lambda: now[0]) as progress:
        for seq in range(seconds * 10):
            now[0] = seq / 10
            progress.update(result(seq), report)
    return out.getvalue()


def test_without_a_terminal_a_line_every_ten_seconds():
    lines = show(terminal=False).splitlines()
    assert lines == [
        f"clip.mp4: {at} of 30.0 s, 9.7 frames/s, 3 dropped, sounding: none"
        for at in ("10.0", "20.0")
    ]


def test_on_a_terminal_one_line_that_fits():
    last = show(terminal=True).split("\r")[-1]
    assert "24.9 of 30.0 s" in last and "9.7 frames/s" in last and "sounding: none" in last
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last)  # without cursor movements
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("terminal", [True, False])
def test_an_unknown_duration_is_left_out(terminal):
    text = show(terminal=terminal, duration_s=None)
    assert " s " in text.replace(",", " ") and " of " not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_duration_that_is_exceeded_is_left_out_from_then_on(terminal):
    text = show(terminal=terminal, duration_s=10.0)
    assert " of 10.0 s" in text
    assert re.search(r"2\d\.\d s", text) and not re.search(r"2\d\.\d of", text)


def summary(of, **outputs):
    out = io.StringIO()
    print_summary(Console(file=out, width=80), "clip.mp4", of, outputs)
    return out.getvalue()


def test_the_summary_accounts_for_every_frame_and_stage():
    text = summary(report(), results="a/very/long/path/" * 8)
    assert "clip.mp4: 97 frames in 10.0 s (9.7 frames/s)\n" in text
    assert "dropped: 3 (2 stale, 1 failed)\n" in text
    assert "behind real time: p50 4 ms, p99 10 ms, at most 10 ms\n" in text
    for stage in STAGES:
        assert stage in text
    assert text.endswith("results  " + "a/very/long/path/" * 8 + "\n"), "a path was wrapped"


def test_without_pacing_waiting_is_no_latency():
    text = summary(report(stages=dict.fromkeys(STAGES, TIMES)))
    assert "queue" not in text and "total" not in text and "behind" not in text
    assert "ms per frame" in text and "model" in text


@pytest.mark.parametrize(
    ("phase", "said"), [("stopped", "stopped early"), ("truncated", "the input broke off")]
)
def test_an_early_end_is_said(phase, said):
    assert said in summary(report(phase=phase))
