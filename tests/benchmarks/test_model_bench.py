"""`streamavis bench model --offline` and `bench segment`: every part is timed, and only once."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console
from streamavis_apps.commands.options import Size
from streamavis_apps.exits import ExitCode
from streamavis_benchmarks.offline import model as model_bench
from streamavis_benchmarks.offline import segment as segment_bench
from streamavis_benchmarks.offline.model import Stopwatch
from streamavis_benchmarks.offline.network import pictures
from streamavis_benchmarks.offline.published import as_published

from streamavis import checkpoint
from streamavis.errors import CheckpointError, OutputError
from streamavis.model.pixel_decoder import DeformableLayer
from streamavis.model.segmentation import segment

sys.path.append(str(Path(__file__).parents[1] / "model"))
from test_avism import clip, network

SIZE = Size(96, 64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "avism.safetensors"
    checkpoint.save(network(short_side=64), path, half=False)
    return path


def test_parts_add_up_to_the_whole():
    model, (frames, audio) = network(short_side=64), clip(3, size=(64, 96))
    recording = list(frames.permute(0, 2, 3, 1).numpy())
    with Stopwatch(model) as watch:
        segment(model, recording, audio)
    parts = {name: times.wall for name, times in watch.parts.items()}
    whole = parts.pop("whole")
    assert sum(parts.values()) == pytest.approx(whole)
    assert min(parts.values()) > 0
    assert set(parts) == {"backbone", "pixel decoder", "frame decoder", "video mask conv"} | {
        "tracker",
        "post",
    }
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_both_ways_are_measured_and_written(weights, tmp_path):
    text, out = io.StringIO(), tmp_path / "figures.json"
    code = model_bench.run(
        model=weights,
        size=SIZE,
        frames=2,
        rounds=2,
        json_path=out,
        console=Console(file=text, width=80),
    )
    assert code is ExitCode.DONE
    figures = json.loads(out.read_text())
    assert figures["size"] == [64, 96]
    assert figures["machine"]["cpu"]
    for parts in figures["parts"].values():
        assert list(parts) == list(model_bench._ROWS)
        shares = [part["cpu_share"] for name, part in parts.items() if name != "whole"]
        assert sum(shares) == pytest.approx(1, abs=0.1)  # medians do not quite add up
        assert all(p["wall_ms"]["min"] <= p["wall_ms"]["median"] for p in parts.values())
    assert figures["wall_ratio"]["median"] > 0
    assert "times as fast" in text.getvalue()
    assert "pixel decoder" in text.getvalue()


def test_the_baseline_has_the_same_weights_and_another_way():
    model = network()
    twin = as_published(model)
    kinds = [{type(part) for part in one.modules()} for one in (twin, model)]
    assert DeformableLayer in kinds[1]
    assert DeformableLayer not in kinds[0]
    ours = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, value in (dict(twin.named_parameters()) | dict(twin.named_buffers())).items():
        assert value.data_ptr() == ours[name].data_ptr(), name


def test_memory_is_measured(weights, tmp_path):
    out = tmp_path / "figures.json"
    segment_bench.run(
        model=weights, size=SIZE, frames=3, json_path=out, console=Console(file=io.StringIO())
    )
    figures = json.loads(out.read_text())
    assert figures["frames"] == 3
    assert 0 < figures["loaded_mib"] <= figures["peak_mib"]


def test_unusable_files_are_named(weights, tmp_path):
    console = Console(file=io.StringIO())
    with pytest.raises(CheckpointError, match="kind"):
        model_bench.run(model=Path(checkpoint.find("nano")), size=SIZE, frames=1, rounds=1)
    with pytest.raises(OutputError, match="cannot be written"):
        segment_bench.run(
            model=weights, size=SIZE, frames=1, json_path=tmp_path / "no" / "x", console=console
        )


def test_pictures_are_drawn_the_same_each_time():
    first, again = (list(pictures(2, SIZE)) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert first[0].shape == (64, 96, 3)
    assert (first[0] != first[1]).any()
