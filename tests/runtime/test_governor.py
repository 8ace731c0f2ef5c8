"""What is given up under load, in which order, and that it does not swing."""

from __future__ import annotations

import pytest

from streamavis.runtime.governor import LEVELS, Governor

S = 1_000_000_000
TICK = S // 10


class Machine:
    """An engine of a steady camera: what a frame costs decides how busy it is."""

    def __init__(self, fps: float = 30.0) -> None:
        self.governor, self.fps = Governor(), fps
        self.now = self.busy = 0
        self.lost = 0.0
        self.changes: list[tuple[float, int]] = []

    def run(self, seconds: float, cost_s: float) -> None:
        for _ in range(round(seconds * 10)):
            level = self.governor.level
            wanted = self.fps / level.stride * cost_s * level.scale**2
            self.busy += round(min(wanted, 1.0) * TICK)
            self.lost += max(0.0, wanted - 1) / wanted * self.fps / 10 if wanted else 0
            self.now += TICK
            if self.governor.look(self.now, self.busy, int(self.lost)):
                self.changes.append((self.now / S, self.governor.place))


def test_a_machine_that_keeps_up_gives_up_nothing():
    machine = Machine()
    machine.run(600, 0.030)
    assert machine.changes == []


def test_the_viewer_loses_first_and_one_step_is_taken_at_a_time():
    machine = Machine()
    machine.run(60, 0.2)  # six times too slow
    places = [place for _, place in machine.changes]
    assert places == [1, 2, 3, 4, 5]
    gaps = [b - a for (a, _), (b, _) in zip(machine.changes, machine.changes[1:], strict=False)]
    assert min(gaps) >= 2
    assert LEVELS[1].viewer_hz == 5.0
    assert (LEVELS[1].stride, LEVELS[1].scale, LEVELS[1].max_tracks) == (1, 1.0, None)


@pytest.mark.parametrize("cost_s", [0.035, 0.05, 0.057, 0.09, 0.12])
def test_it_stops_where_the_machine_keeps_up_and_does_not_swing(cost_s):
    machine = Machine()
    machine.run(30, cost_s)
    settled = machine.governor.place
    assert settled > 0
    machine.changes.clear()
    machine.run(600, cost_s)
    assert machine.changes == []
    level = LEVELS[settled]
    assert 30 / level.stride * cost_s * level.scale**2 <= 1 or settled == len(LEVELS) - 1


def test_all_is_taken_back_when_there_is_time_again():
    machine = Machine()
    machine.run(30, 0.2)
    machine.changes.clear()
    machine.run(60, 0.005)
    assert [place for _, place in machine.changes] == [4, 3, 2, 1, 0]
    assert all(b - a >= 5 for (a, _), (b, _) in zip(machine.changes, machine.changes[1:],
                                                    strict=False))  # fmt: skip


def test_a_full_machine_that_loses_nothing_is_left_alone():
    governor = Governor()
    assert not any(governor.look(n * TICK, n * TICK, 0) for n in range(600))


def test_each_step_costs_no_more_than_the_one_before():
    costs = [level.cost for level in LEVELS]
    assert costs == sorted(costs, reverse=True)
