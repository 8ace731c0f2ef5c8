"""One clip, every way in: the command, `open`, its async and callback forms, a push loop."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import av
import pytest
from humming_clip import RATE, write_humming_clip
from rich.console import Console
from runtime_fakes import FakeModel
from streamavis_apps.exits import ExitCode
from streamavis_apps.replay.replay import Replay, run

import streamavis as sa
from streamavis.io.jsonl import JsonlWriter
from streamavis.sinks.jsonl import JsonlSink


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_humming_clip(tmp_path / "clip.mp4")


def written(results: list[sa.FrameResult], path: Path) -> bytes:
    with JsonlWriter(path, stamps=False) as writer:
        for result in results:
            writer.write(result)
    return path.read_bytes()


def pushed(clip: Path) -> list[sa.FrameResult]:
    session = sa.Session(FakeModel(), stream="clip", sample_rate=RATE)
    with av.open(str(clip)) as file:
        for block in file.decode(audio=0):
            if block.time < 1.1:
                session.push_audio(block.to_ndarray().T, block.time)
    with av.open(str(clip)) as file:
        return [session.push_frame(image, image.time) for image in file.decode(video=0)]


def test_every_door_gives_the_same_lines(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel())
    lines = {}

    plan = Replay(source=clip, speed=None, jsonl=tmp_path / "command.jsonl")
    assert run(plan, console=Console(file=io.StringIO())) is ExitCode.DONE
    lines["command"] = (tmp_path / "command.jsonl").read_bytes()

    looped = list(sa.open(clip, "nano", stream="clip"))
    lines["loop"] = written(looped, tmp_path / "loop")

    called: list[sa.FrameResult] = []
    sink = JsonlSink(tmp_path / "sink.jsonl")
    sa.open(clip, "nano", stream="clip", on_result=called.append, sinks=[sink]).run()
    lines["callback"] = written(called, tmp_path / "callback")
    lines["sink"] = (tmp_path / "sink.jsonl").read_bytes()

    async def take() -> list[sa.FrameResult]:
        async with sa.open(clip, "nano", stream="clip") as stream:
            return [result async for result in stream]

    lines["async"] = written(asyncio.run(take()), tmp_path / "async")
    lines["session"] = written(pushed(clip), tmp_path / "session")

    assert len(lines["command"].splitlines()) == 10
    assert b'"sounding":0.98' in lines["command"]
    assert {name: data == lines["command"] for name, data in lines.items()} == dict.fromkeys(
        lines, True
    )
