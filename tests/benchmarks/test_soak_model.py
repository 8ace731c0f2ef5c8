"""`streamavis bench soak`: it measures what it says, and notices what it is there to notice."""

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from streamavis_apps.app import app
from streamavis_apps.exits import ExitCode, Stop
from streamavis_benchmarks.soak import model as soak_model
from streamavis_benchmarks.soak.model import ModelSoak, growth_mib, run
from typer.testing import CliRunner

from streamavis import checkpoint
from streamavis.model import StreamAVIS

sys.path.append(str(Path(__file__).parents[1] / "apps"))
from app_media import write_network

SIZE = (64, 64)


@pytest.fixture
def tiny(tmp_path) -> str:
    return str(write_network(tmp_path / "tiny.safetensors"))


def soak(model: str, **options: object) -> tuple[ExitCode, str]:
    text = io.StringIO()
    settings = {"steps": 40, "size": SIZE, "pairs": 12} | options
    code = run(model, console=Console(file=text, width=200), **settings)
    return code, text.getvalue()


def test_figures_to_read_and_to_keep(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(soak_model, "RATIO", 100.0)  # a busy machine is no failure here
    monkeypatch.setattr(soak_model, "GROWTH_MIB", 1000.0)
    code, said = soak(tiny, json_path=tmp_path / "soak.json")
    assert code is ExitCode.DONE
    for words in ("40 steps", "memory:", "aged", "equal where memories are equal: yes"):
        assert words in said
    figures = json.loads((tmp_path / "soak.json").read_text())
    assert (figures["steps"], figures["pairs"], figures["size"]) == (40, 12, list(SIZE))
    assert figures["finite"] is figures["equal"] is figures["goals_met"] is True
    assert figures["ratio"] > 0
    assert figures["machine"]["cpu"]


def test_a_missed_goal_fails(tiny, monkeypatch):
    monkeypatch.setattr(soak_model, "RATIO", 0.0)
    code, said = soak(tiny)
    assert code is ExitCode.FAILED
    assert "goals met: NO" in said


def test_growth_is_the_slope_of_the_last_nine_tenths():
    mib = 2**20
    flat = [(n, 300 * mib + (n % 3) * 4096) for n in range(1000)]
    assert abs(growth_mib(flat)) < 0.01
    warm = [(n, (300 - max(0, 100 - n)) * mib) for n in range(1000)]
    assert growth_mib(warm) == pytest.approx(0, abs=0.01), "warming up is not growing"
    leak = [(n, 300 * mib + n * mib // 250) for n in range(1000)]
    assert growth_mib(leak) == pytest.approx(3.6, abs=0.05)
    assert growth_mib([]) is None


def aged(model: StreamAVIS, steps: int):
    walk = ModelSoak.of(model, SIZE)
    state = model.init_state(1)
    assert all(walk.age(state, steps))
    return walk, state


def test_equal_memories_say_the_same_and_others_do_not(tiny, monkeypatch):
    with torch.inference_mode():
        walk, state = aged(checkpoint.load(tiny), 60)
        assert state.counters.written.item() > 2 * walk.network.config.window
        assert walk.is_equal(state, 60, 20)
        clone = type(state).clone

        def forgetful(self):
            other = clone(self)
            other.video_rings[0].keys[:, 0] += 1
            return other

        monkeypatch.setattr(type(state), "clone", forgetful)
        assert not walk.is_equal(state, 80, 20)


def test_what_is_not_finite_is_noticed(tiny):
    model = checkpoint.load(tiny)
    with torch.no_grad():
        model.heads.visible.bias.fill_(float("nan"))
    walk = ModelSoak.of(model, SIZE)
    assert list(walk.age(model.init_state(1), 2)) == [False, False]


def test_it_ends_when_it_is_asked_to(tiny):
    stop = Stop()
    stop.request(signal.SIGINT)
    code, said = soak(tiny, stop=stop)
    assert code is ExitCode.INTERRUPTED
    assert "steps" not in said


def test_the_command_takes_sizes_and_steps(tiny, tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(soak_model, "run", lambda model, **options: asked.update(options) or 0)
    done = CliRunner().invoke(app, ["bench", "soak", "--steps", "500", "--size", "96x64"])
    assert done.exit_code == 0, done.output
    assert asked == {"steps": 500, "size": (64, 96), "json_path": None}
