"""Choosing thresholds: one pass through the network, every threshold measured on its outputs."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from streamavis_benchmarks.real import thresholds
from streamavis_benchmarks.real.measured import Measured
from streamavis_benchmarks.real.thresholds import GRID, Choice

from streamavis import checkpoint


class Network:
    """Counts its steps; a step's output is its number."""

    config = None

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> int:
        self.steps += 1
        return self.steps


class Unit:
    """Four objects; those whose score reaches the threshold are reported, three are right."""

    weight = 1.0

    def measure(self, setting) -> Measured:
        first = setting.network.step()
        assert setting.network.step() == first + 1, "outputs come in their order"
        scores = [(0.96, True), (0.6, True), (0.5, True), (0.4, False)]
        kept = [right for score, right in scores if score >= setting.tracks.score_on]
        return Measured(
            Counter(
                {
                    "pictures/objects": 3,
                    "pictures/found": sum(kept),
                    "pictures/reported": len(kept),
                    "pictures/reported right": sum(kept),
                }
            )
        )


def test_the_network_runs_once_for_all_thresholds():
    network, seen = Network(), []
    found = thresholds.sweep(network, [Unit(), Unit(), Unit()], 10.0, seen.append)
    assert network.steps == 6 and seen == [1, 2, 3]
    assert [one.score_on for one in found] == list(GRID)
    assert found[0].recall == 1 and found[0].precision == pytest.approx(0.75)
    assert found[-1].recall == pytest.approx(1 / 3) and found[-1].precision == 1


@pytest.mark.parametrize(
    ("precisions", "recalls", "chosen"),
    [
        ((0.5, 0.72, 0.9), (0.9, 0.8, 0.3), 1),
        ((0.65, 0.72, 0.9), (0.9, 0.5, 0.3), 0),
    ],
)
def test_the_choice_follows_its_rule(precisions, recalls, chosen):
    found = [
        Choice(0.3 + 0.1 * n, recall, recall, precision, 0.0, 0.0)
        for n, (precision, recall) in enumerate(zip(precisions, recalls, strict=True))
    ]
    assert thresholds.choose(found) is found[chosen]


def test_a_choice_is_stored_in_the_file(tmp_path):
    path = tmp_path / "mine.safetensors"
    shutil.copy(checkpoint.find("nano-drawn"), path)
    before = checkpoint.metadata(path)
    thresholds.write(path, Choice(0.44, 1.0, 1.0, 1.0, 1.0, 1.0))
    config = checkpoint.configuration(path)
    assert (config.score_on, config.score_off) == (0.44, 0.33)
    after = checkpoint.metadata(path)
    assert {k: v for k, v in after.items() if k != "config"} == {
        k: v for k, v in before.items() if k != "config"
    }
    assert not path.with_suffix(".part").exists()
