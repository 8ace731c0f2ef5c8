"""A model that is too slow, and a neighbour that stalls: simulated to the nanosecond."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from live_rig import MS, Rig, assert_adds_up
from runtime_fakes import NS, FakeModel, until

PERIOD_NS = NS // 30


@dataclass
class World:
    """Cameras of 30 frames/s and a model that takes its time, on one clock.

    The engine runs in the test's own thread; while the model is at work, the cameras go on.
    """

    model_ns: int
    names: tuple[str, ...] = ("cam",)
    stalled: set[str] = field(default_factory=set)
    over: bool = False

    def __post_init__(self) -> None:
        self.rig = Rig(*self.names, model=FakeModel(on_step=lambda _: self.work()))
        # Cameras are not in step with each other.
        self.due = {
            name: self.rig.clock.now_ns() + PERIOD_NS + n * PERIOD_NS // len(self.names)
            for n, name in enumerate(self.names)
        }
        self.ages: dict[str, list[int]] = {name: [] for name in self.names}
        self.rig.taps[self.names[0]].frame()
        next(self.rig.results)  # the engine runs

    def work(self) -> None:
        """What happens while the model takes `model_ns`."""
        if self.over:
            self.rig.clock.advance(self.model_ns)
        else:
            self.advance(self.rig.clock.now_ns() + self.model_ns)

    def end(self) -> None:
        """The cameras end, all of them."""
        self.over = True
        self.rig.end()

    def advance(self, until_ns: int) -> None:
        clock = self.rig.clock
        while (name := min(self.due, key=self.due.__getitem__)) and self.due[name] <= until_ns:
            clock.advance(max(0, self.due[name] - clock.now_ns()))
            self.due[name] += PERIOD_NS
            if name not in self.stalled:
                tap = self.rig.taps[name]
                tap.frame()
                until(lambda tap=tap, name=name: self.rig.report(name).captured == tap.index)
        clock.advance(max(0, until_ns - clock.now_ns()))

    def run(self, results: int) -> None:
        for _ in range(results):
            if not self.waits():
                self.advance(min(t for n, t in self.due.items() if n not in self.stalled))
            result = next(self.rig.results)
            done = result.stamps["publish"]
            self.ages[result.stream].append(done - result.capture_time_ns)

    def waits(self) -> bool:
        return any(stream.ready for stream in self.rig.engine._streams)


@pytest.mark.parametrize("factor", [2.0, 3.7])
def test_a_slow_model_gets_fresh_frames_and_their_age_does_not_grow(factor):
    world = World(round(factor * PERIOD_NS))
    world.run(300)
    ages = np.array(world.ages["cam"])
    assert np.percentile(ages, 99) <= 2 * world.model_ns + PERIOD_NS
    assert ages[200:].mean() <= ages[100:200].mean() * 1.01, "flat"
    report = world.rig.report("cam")
    assert set(report.dropped) == {"superseded"}
    world.end()
    report = world.rig.report("cam")
    assert_adds_up(report)
    assert report.captured == world.rig.taps["cam"].index
    assert report.processed / report.captured == pytest.approx(1 / factor, rel=0.05)


def test_a_model_that_keeps_up_gets_every_frame_at_once():
    world = World(PERIOD_NS // 2)
    world.run(200)
    assert world.rig.report("cam").dropped == {}
    assert max(world.ages["cam"]) == world.model_ns
    world.end()


def test_a_stalled_neighbour_changes_nobody_s_latency_for_the_worse():
    def p99(stalls: bool) -> list[float]:
        world = World(PERIOD_NS // 4, ("a", "b", "c"))
        world.run(30)
        if stalls:
            world.stalled.add("b")
        for ages in world.ages.values():
            ages.clear()
        world.run(200)
        world.end()
        return [float(np.percentile(world.ages[name], 99)) for name in "ac"]

    for with_stall, without in zip(p99(True), p99(False), strict=True):
        assert with_stall <= 1.1 * without


def test_a_model_that_hangs_for_seconds_costs_stale_frames_and_no_more():
    world = World(PERIOD_NS // 2)
    world.run(10)
    world.model_ns = 3 * NS
    world.run(1)
    world.model_ns = PERIOD_NS // 2
    world.run(30)
    assert max(world.ages["cam"][11:]) <= world.model_ns + PERIOD_NS
    world.end()
    assert_adds_up(world.rig.report("cam"))


def test_frames_that_arrive_too_old_are_dropped_before_any_work():
    rig = Rig("cam")
    rig.one("cam")
    rig.taps["cam"].frame(capture_time_ns=rig.clock.now_ns() - 600 * MS)
    until(lambda: rig.report("cam").captured == 2)
    rig.taps["cam"].frame()
    assert next(rig.results).seq == 2
    rig.end()
    report = rig.report("cam")
    assert sum(report.dropped.values()) == 1
    assert set(report.dropped) <= {"stale", "superseded"}
