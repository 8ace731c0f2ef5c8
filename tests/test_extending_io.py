"""The recipes of docs/EXTENDING.md for a source, a camera driver and a sink, run as they stand."""

from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest
from humming_clip import write_humming_clip
from runtime_fakes import FakeModel, assert_no_threads
from source_tree import ROOT

import streamavis as sa

LISTING = re.compile(r"(?ms)^`(my_\w+\.py)`:\n\n```python\n(.*?)^```")


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Makes a listing of the document a module."""
    listings = dict(LISTING.findall((ROOT / "docs/EXTENDING.md").read_text()))
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(listings[f"{name}.py"])
        sys.modules.pop(name, None)
        return __import__(name)

    return make


def test_a_source(recipe):
    stream = sa.open(recipe("my_source").Simulator(), FakeModel())
    results = list(stream)
    assert [result.seq for result in results] == list(range(20))
    assert {result.audio for result in results} == {"ok"}
    assert stream.info.name == "simulator"


def test_a_camera_driver(recipe):
    with recipe("my_camera").camera() as camera:
        stream = sa.open(camera, FakeModel(), live=True, warm=True)
        results = list(stream)
    assert results
    assert {(result.clock, result.audio) for result in results} == {("driver", "absent")}
    assert stream.report.inputs[0].source == "mine"
    assert_no_threads()


def test_a_sink(recipe, tmp_path):
    clip = write_humming_clip(tmp_path / "clip.mp4")
    sink = recipe("my_sink").Loudest(str(tmp_path / "loudest.txt"))
    report = sa.open(clip, FakeModel(), sinks=[sink]).run()
    assert not report.sink_failures
    lines = (tmp_path / "loudest.txt").read_text().splitlines()
    assert len(lines) == 10
    assert lines[-1] == "0.900 red thing"
