"""`bench soak --minutes` in its short form: everything is told, recovers and adds up."""

from __future__ import annotations

import io
import json

from rich.console import Console
from runtime_fakes import FakeModel
from streamavis_apps.exits import Stop
from streamavis_apps.soak_live import GOALS_S, Soak, run_live
from streamavis_apps.soak_world import FAULTS


def test_a_short_soak_is_told_of_every_fault_and_recovers(monkeypatch, tmp_path):
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel())
    plan = Soak(
        minutes=0.05,
        faults=("close", "mic", "nan"),
        every_s=0.1,
        held_s=0.1,
        size=(90, 160),
        fps=30,
    )
    console = Console(file=io.StringIO(), width=120)
    path = tmp_path / "soak.json"
    run_live(plan, json_path=path, console=console, stop=Stop())
    figures = json.loads(path.read_text())
    assert figures["adds_up"]
    assert figures["captured"] > 30
    assert "close" in figures["faults"]
    for spread in figures["faults"].values():
        assert spread["told_s"]["never"] == spread["good_s"]["never"] == 0
    assert figures["threads"]["most"] - figures["threads"]["least"] <= 3
    shown = console.file.getvalue()
    assert "adds up" in shown
    assert "close: told after" in shown


def test_every_fault_has_a_goal():
    assert set(GOALS_S) == set(FAULTS)
