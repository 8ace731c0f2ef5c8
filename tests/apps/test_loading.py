"""A model is ready before a clock starts, and what takes long is said."""

import io

import pytest
from rich.console import Console
from runtime_fakes import FakeModel
from streamavis_apps.loading import load_warm
from streamavis_kernels import build


@pytest.mark.parametrize("builds", [True, False])
def test_kernels_that_are_built_are_told_once(monkeypatch, builds):
    def on_step(_):
        for told in build._listeners if builds else ():
            told("deform_attn")

    model = FakeModel(on_step=on_step)
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: model)
    console = Console(file=io.StringIO(), width=100)
    assert load_warm("nano", [(90, 160), (90, 160)], console) is model
    assert {len(frames) for frames, _, _ in model.calls} == {2}
    said = console.file.getvalue()
    assert said.count("building kernels (first run)") == builds
    assert build._listeners == []
