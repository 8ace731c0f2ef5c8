"""Clocks that step and stamps that lie: nothing is dropped, nothing raised, ages stay true."""

from __future__ import annotations

import random

import pytest
from live_rig import MS, Rig, assert_adds_up
from runtime_fakes import NS, FakeModel, FakeSource, clip

from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_wall_clock_changes_no_result(step_s):
    """NTP sets the clock in the middle of a run: only `wall_time`, which is metadata, follows."""

    def run(step: float) -> tuple[list, object]:
        wall = [1e9]
        rig = Rig("cam", wall_clock=lambda: wall[0])
        results = []
        for n in range(60):
            rig.clock.advance(33 * MS)
            wall[0] += 0.033 + (step if n == 30 else 0.0)
            results.append(rig.one("cam"))
        report = rig.report("cam")
        rig.end()
        return results, report

    (plain, before), (stepped, after) = run(0.0), run(step_s)
    assert after.dropped == before.dropped == {}
    assert [r.stamps for r in stepped] == [r.stamps for r in plain], "ages are the same"
    assert [(r.seq, r.epoch, r.tracks) for r in stepped] == [
        (r.seq, r.epoch, r.tracks) for r in plain
    ]
    assert stepped[31].wall_time - plain[31].wall_time == pytest.approx(step_s)


def stamps(kind: str) -> list[int]:
    times = [n * NS // 10 for n in range(60)]
    if kind == "backwards":
        times[30:] = [time - 20 * NS for time in times[30:]]
    elif kind == "duplicate":
        times[30] = times[29]
    elif kind == "jump":
        times[30:] = [time + 3600 * NS for time in times[30:]]
    elif kind == "far":
        times[30] = 2**62
    else:
        times = [random.Random(0).randrange(-(2**62), 2**62) for _ in times]
    return times


@pytest.mark.parametrize("kind", ["backwards", "duplicate", "jump", "far", "noise"])
@pytest.mark.parametrize("live", [False, True])
def test_stamps_that_lie_end_no_stream(kind, live):
    times = stamps(kind)
    source = FakeSource(clip(60, at=lambda n: times[n], sound=False))
    session = Session(FakeModel(), stream="cam", has_audio=False)
    engine = Engine([Feed(source, session)], Policy(live, None))
    results = list(engine.results())
    report = engine.report
    assert_adds_up(report)
    assert report.phase == "ended"
    assert report.captured == 60
    epochs = [result.epoch for result in results]
    assert epochs == sorted(epochs)
    if not live:
        assert len(results) == 60
        assert epochs[-1] == {"backwards": 1, "duplicate": 0, "jump": 1, "far": 2}.get(
            kind, epochs[-1]
        )
