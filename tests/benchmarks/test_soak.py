"""`bench soak --seconds` in its short form: everything is told, recovers and adds up."""

from __future__ import annotations

import json

from rich.console import Console
from runtime_fakes import FakeModel
from streamavis_benchmarks.faults.watch import GOALS_S
from streamavis_benchmarks.live.faults import RIG_FAULTS
from streamavis_benchmarks.soak.live import LiveSoak, run_live
from streamavis_benchmarks.soak.world import FAULTS
from until_said import UntilSaid


def test_a_short_soak_reports_every_fault_and_recovers(monkeypatch, tmp_path):
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel())
    faults = ("close", "mic", "nan")
    plan = LiveSoak(
        minutes=1.5,
        faults=faults,
        every_s=0.1,
        held_s=0.1,
        size=(90, 160),
        fps=30,
    )
    said = UntilSaid("nan: reported after")
    path = tmp_path / "soak.json"
    run_live(plan, json_path=path, console=Console(file=said, width=120), stop=said.stop)
    figures = json.loads(path.read_text())
    assert figures["adds_up"]
    assert figures["captured"] > 10
    assert figures["faults"].keys() == set(faults)
    for spread in figures["faults"].values():
        assert spread["reported_s"]["never"] == spread["recovered_s"]["never"] == 0
    assert figures["threads"]["most"] - figures["threads"]["least"] <= 3
    assert "adds up" in said.getvalue()
    assert "close: reported after" in said.getvalue()


def test_every_fault_has_a_goal():
    assert set(GOALS_S) == {*FAULTS, *RIG_FAULTS}
