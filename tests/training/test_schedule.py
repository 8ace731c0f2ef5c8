"""The learning rate at every step, and settings that make no sense."""

from __future__ import annotations

import itertools

import pytest
from streamavis_training.schedule import Pace, TrainerConfig, learning_rate


def rates(**changes: object) -> list[float]:
    config = TrainerConfig(**{"steps": 1000, "rate": 1.0, "warmup": 0.1, "flat": 0.3} | changes)
    return [learning_rate(config, step) for step in range(config.steps)]


def test_cosine_rises_stays_and_falls_to_nearly_nothing():
    found = rates()
    assert found[0] == pytest.approx(0.01)
    assert found[99:299] == pytest.approx([1.0] * 200)
    assert all(b < a for a, b in itertools.pairwise(found[300:]))
    assert 0 < found[-1] < 0.01


def test_constant_with_cooldown_falls_in_a_line():
    found = rates(schedule="wsd", flat=0.8)
    assert found[99:799] == pytest.approx([1.0] * 700)
    assert found[899] == pytest.approx(0.5)
    assert found[-1] == pytest.approx(0.0)


def test_steps_fall_at_their_milestones():
    found = rates(schedule="step", milestones=(0.5, 0.9), decay=0.1, warmup=0.01)
    assert found[9:500] == pytest.approx([1.0] * 491)
    assert found[500:900] == pytest.approx([0.1] * 400)
    assert found[900:] == pytest.approx([0.01] * 100)


def test_a_new_optimizer_starts_slowly():
    config = TrainerConfig(steps=1000, rate=1.0, warmup=0.0, flat=1.0, rewarm=4)
    found = [learning_rate(config, step, fresh_from=500) for step in range(500, 506)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_have_a_rate(steps):
    assert all(0 <= rate <= 1 for rate in rates(steps=steps))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"warmup": 2.0}, "warmup is 2.0, expected a share"),
        ({"minutes": -1.0}, "minutes is -1.0, expected at least 0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0, expected 0 to below 1"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainerConfig(**changes)


def test_minutes_end_a_schedule_that_its_steps_would_not():
    config = TrainerConfig(steps=100, minutes=2, rate=1.0, warmup=0.0, flat=0.5, schedule="wsd")
    now = [1000.0]
    pace = Pace(config, lambda: now[0])
    assert pace.gone(10) == 0.1, "before it begins the steps count"
    pace.begin()
    for seconds, steps, gone, rate in [(0, 0, 0, 1), (60, 1, 0.5, 1), (90, 2, 0.75, 0.5)]:
        now[0] = 1000 + seconds
        assert pace.gone(steps) == pytest.approx(gone)
        assert learning_rate(config, steps, gone=pace.gone(steps)) == pytest.approx(rate)
    assert pace.gone(80) == 0.8, "a fast machine ends with its steps"
    now[0] += 100
    assert pace.gone(2) == 1.0
    pace.begin(0.75)
    now[0] += 15
    assert pace.gone(2) == pytest.approx(0.875), "it goes on where it was"
