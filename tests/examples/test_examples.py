"""Every program in examples/ runs and does what it says."""

from __future__ import annotations

import asyncio
import csv
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from humming_clip import write_humming_clip
from runtime_fakes import FakeModel, assert_no_threads
from source_tree import ROOT

import streamavis as sa
from streamavis.sinks.publish import PublishSink
from streamavis.wire import Hello

EXAMPLES = ROOT / "examples"
# The clips of a moving red box; in the second one it hums.
RED = "color=black:size=160x90:rate=10:duration=1,drawbox=x=20:y=20:w=40:h=30:color=red:t=fill"
SILENT = f"lavfi:{RED}[out0]"
HUMS = f"lavfi:{RED}[out0];sine=frequency=220:duration=1[out1]"


def program(name: str) -> ModuleType:
    """An example as a module, without running it."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A second of a red box that hums, as a file."""
    return write_humming_clip(tmp_path / "clip.mp4")


def test_push_loop(clip):
    results = list(program("push_loop").push(str(clip), FakeModel()))
    replayed = list(sa.open(clip, FakeModel(), warm=True))
    assert [r.tracks for r in results] == [r.tracks for r in replayed]
    assert results[-1].sounding


def test_callback_robot(clip, capsys):
    robots = program("callback_robot")
    persons = replace(FakeModel().config, classes=("person", "dog", "cat"))
    robot = robots.main(str(clip), FakeModel(persons))
    assert robot.knows_sound
    assert -1 < robot.turn < 0, "the box is on the left"
    assert "turn to -0." in capsys.readouterr().out
    silent = robots.main(SILENT, FakeModel(persons))
    assert (silent.knows_sound, silent.turn) == (False, 0.0)


def test_async_server(clip):
    async def client(port: int) -> list[dict[str, object]]:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.01)
        lines = [json.loads(line) async for line in reader]
        writer.close()
        return lines

    async def both(port: int) -> list[dict[str, object]]:
        server = asyncio.create_task(program("async_server").main(str(clip), FakeModel(), port))
        lines = await client(port)
        await server
        return lines

    lines = asyncio.run(both(_free_port()))
    assert [line["seq"] for line in lines] == list(range(10))
    assert lines[-1]["tracks"][0]["label"] == "red thing"
    assert_no_threads()


def test_two_cameras(capsys):
    results = list(program("two_cameras").watch([SILENT, HUMS], FakeModel()))
    streams = {result.stream for result in results}
    assert streams == {"cam-1", "cam-2"}
    assert "cam-2: " in capsys.readouterr().out
    assert_no_threads()


def test_own_sink(clip, tmp_path):
    program("own_sink").main(str(clip), str(tmp_path / "out.csv"), FakeModel())
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert rows
    assert {row["label"] for row in rows} == {"red thing"}
    assert float(rows[-1]["time_s"]) == 0.9


def test_own_source():
    results = program("own_source").main(2.0, FakeModel())
    assert len(results) == 20
    assert {result.audio for result in results} == {"ok"}
    assert not any(result.sounding for result in results[:10])
    assert results[-1].sounding


def test_own_model(tmp_path):
    example = program("own_model")
    model = example.build(("bell", "drum"))
    example.save(model, tmp_path / "mine")
    loaded = sa.load(tmp_path / "mine", device="cpu")
    assert loaded.config == model.config
    assert (loaded.config.window, loaded.config.classes) == (8, ("bell", "drum"))
    short = f"lavfi:{RED.replace('duration=1', 'duration=0.2')}[out0]"
    assert example.main(short, tmp_path / "mine") == 2


def test_train_your_own(tmp_path, capsys):
    """Two steps of a tiny network on four tiny clips."""
    from streamavis_training.pool import BatchConfig
    from streamavis_training.recipes.nano_drawn import WorldStage

    from streamavis.model.light_backbone import NanoConfig

    example = program("train_your_own")
    recipe = example.short(steps=2)
    size = {"channels": 32, "hidden": 32, "pixel_hidden": 32, "frame_queries": 6, "slots": 6}
    backbone = NanoConfig(channels=(8, 8, 16, 16))
    recipe = replace(
        recipe,
        network=replace(recipe.network, backbone=backbone, **size),
        trainer=replace(recipe.trainer, device="cpu", tensorboard=False),
        pool=replace(recipe.pool, clips=2, frames=4, width=64, height=32),
        stages=(WorldStage(1.0, BatchConfig(clips=1, frames=2, parts=2, height=32)),),
        audio=replace(recipe.audio, steps=1),
        sounds=2,
    )
    model = example.train(recipe, tmp_path)
    assert model.config.slots == 6
    assert "step 2, loss" in capsys.readouterr().out


def test_subscriber(clip, capsys):
    hello = Hello(model="fake", classes=("red thing",), size=(90, 160), fps=10.0, has_audio=True)
    sink = PublishSink("tcp://127.0.0.1:*", "main", hello)
    stream = sa.open(clip, FakeModel(), sinks=[sink], boot_id=sink.boot_id, speed=1.0)
    stream.start()
    assert program("subscriber").main(sink.endpoint) > 0
    stream.wait()
    assert "s old, audio ok" in capsys.readouterr().out


def test_every_program_is_short_described_and_tested():
    listed = (EXAMPLES / "README.md").read_text()
    tests = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path.name
        assert f"`{path.name}`" in listed
        assert f"def test_{path.stem}(" in tests


def test_an_example_reads_no_argument_before_it_is_run():
    for path in EXAMPLES.glob("*.py"):
        program(path.stem)


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
