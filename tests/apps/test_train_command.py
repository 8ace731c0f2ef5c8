"""`streamavis train`: each option of the command line reaches the network it names."""

from __future__ import annotations

from dataclasses import replace

import pytest
import streamavis_apps.train.train
from streamavis_apps.app import app
from streamavis_training.recipes.nano_drawn import NanoDrawnRecipe
from typer.testing import CliRunner

from streamavis.model import StreamAVISConfig


@pytest.fixture
def asked(monkeypatch) -> list[NanoDrawnRecipe]:
    """The recipes that would have been trained."""
    recipes: list[NanoDrawnRecipe] = []

    def run(plan):
        recipes.append(plan.recipe)
        return 0

    monkeypatch.setattr(streamavis_apps.train.train, "run", run)
    return recipes


def network(asked: list[NanoDrawnRecipe], *options: str) -> StreamAVISConfig:
    done = CliRunner().invoke(app, ["train", "--out", "nowhere", *options])
    assert done.exit_code == 0, done.output
    return asked[-1].network


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ((), {}),
        (("--sinks", "0"), {"sinks": 0}),
        (("--sinks", "1"), {"sinks": 1}),
        (("--pin-first", "1"), {"pin_first": 1}),
        (("--window", "3"), {"window": 3}),
        (("--window", "12"), {"window": 12}),
        (("--stride", "0.5"), {"memory_stride_s": 0.5}),
        (("--slots", "learned"), {"slot_start": "learned"}),
        (("--slots", "previous"), {"slot_start": "previous"}),
        (("--fusion", "dense"), {"fusion": "dense"}),
        (("--audio", "none"), {"audio": "none"}),
    ],
)
def test_an_option_changes_what_it_names(asked, options, changes):
    assert network(asked, *options) == replace(NanoDrawnRecipe().network, **changes)


def test_what_is_no_choice_is_refused(asked):
    done = CliRunner().invoke(app, ["train", "--out", "x", "--fusion", "thick"])
    assert done.exit_code == 2
    assert "deformable" in done.output
    assert not asked
