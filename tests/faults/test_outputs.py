"""Disks that are full and sinks that break: one notice, and the engine keeps running."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from live_rig import Rig, see
from runtime_fakes import ListSink

from streamavis.errors import OutputError
from streamavis.sinks.jsonl import JsonlSink
from streamavis.sinks.record import RecordSink


@pytest.fixture
def small_disk():
    """Files of this process may have 64 KB: what a full disk is to whoever writes one."""
    resource = pytest.importorskip("resource", reason="limits of this kind are POSIX's")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["jsonl", "record"])
def test_a_full_disk_costs_its_output_and_one_notice(kind, running, small_disk, tmp_path):
    path = tmp_path / "out"
    noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    if kind == "jsonl":
        sink = JsonlSink(path)
    else:
        path = path.with_suffix(".mp4")
        sink = RecordSink(path, size=(90, 160), draw=lambda *_, **__: noise, fps=30)
    rig = running(Rig("cam", sink=sink))
    frames = 0
    while not rig.report("cam").sink_failures:
        assert see(rig, 20, step_ms=33) == list(range(frames, frames + 20))
        frames += 20
        assert frames < 2000
    assert see(rig, 10) == list(range(frames, frames + 10)), "results go on"
    report = rig.report("cam")
    assert "File too large" in report.sink_failures[kind]
    notices = [notice for notice in report.notices if notice.kind == "sink"]
    assert len(notices) == 1
    assert report.phase == "running"


def test_an_output_that_cannot_be_opened_is_told_before_the_engine_starts(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder"):
        JsonlSink(tmp_path / "folder")
    with pytest.raises(OutputError, match="no-such"):
        JsonlSink(Path("/no-such/place/out.jsonl"))


@pytest.mark.parametrize("inline", [False, True])
def test_a_sink_that_breaks_takes_nobody_with_it(inline, running):
    class Deaf(ListSink):
        def notice(self, item):
            raise RuntimeError("I cannot hear")

    rig = running(Rig("cam", sink=Deaf("deaf", inline=inline)))
    assert see(rig, 5) == [0, 1, 2, 3, 4]
    assert rig.report("cam").sink_failures == {"deaf": "RuntimeError: I cannot hear"}
