"""What a further head says of an object reaches its track, the wire and the lines of results."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
import torch
from runtime_fakes import FakeModel, FakeOutput, FakeSource, clip
from torch import Tensor

from streamavis.errors import SchemaError
from streamavis.io.jsonl import JsonlWriter
from streamavis.runtime.batch import StreamBatch
from streamavis.session import Session
from streamavis.types import FrameResult, VideoFrame
from streamavis.wire.codec import decode, encode


@dataclass
class DepthOutput(FakeOutput):
    extra: dict[str, Tensor] = field(default_factory=dict)


class DepthModel(FakeModel):
    """Slot k is k + 1 m away, and stands at (k, -k)."""

    def step(self, frames, audio, state, **options) -> DepthOutput:
        output = super().step(frames, audio, state, **options)
        slots = torch.arange(3.0).expand(len(frames), 3) + 10 * torch.arange(len(frames))[:, None]
        extra = {"depth_m": slots + 1, "place": torch.stack([slots, -slots], -1)}
        return DepthOutput(**vars(output), extra=extra)


def results(model: FakeModel) -> list[FrameResult]:
    session = Session(model, stream="cam", has_audio=False)
    frames = [item for item in FakeSource(clip(6)) if isinstance(item, VideoFrame)]
    return [session.see(frame) for frame in frames]


def test_each_track_carries_what_its_slot_says_and_the_wire_carries_it_on():
    result = results(DepthModel())[-1]
    assert [track.extra for track in result.tracks] == [
        {"depth_m": 1.0, "place": [0.0, -0.0]},
        {"depth_m": 2.0, "place": [1.0, -1.0]},
    ]
    result.boot_id = "boot"
    assert decode(encode(result)) == result


def test_without_such_a_head_nothing_is_written(tmp_path):
    for model, keys in ((FakeModel(), set()), (DepthModel(), {"extra"})):
        result = results(model)[-1]
        path = tmp_path / f"{len(keys)}.jsonl"
        writer = JsonlWriter(path, stamps=False)
        writer.write(result)
        writer.close()
        (line,) = path.read_text().splitlines()
        for track in json.loads(line)["tracks"]:
            assert set(track) & {"extra"} == keys
            assert list(track)[:10] == [
                *("id", "label", "class_id", "score", "sounding"),
                *("visible", "box", "centroid", "area", "rle"),
            ]


def test_streams_of_a_batch_have_their_own():
    model = DepthModel()
    sessions = [Session(model, stream=name, has_audio=False) for name in "ab"]
    batch = StreamBatch(sessions)
    for frame in [item for item in clip(4) if isinstance(item, VideoFrame)]:
        ready = {slot: session.begin(frame) for slot, session in enumerate(sessions)}
        outcomes = batch.step(ready)
        found = [sessions[slot].finish(ready[slot], outcomes[slot]) for slot in (0, 1)]
    assert [[track.extra["depth_m"] for track in one.tracks] for one in found] == [
        [1.0, 2.0],
        [11.0, 12.0],
    ]


@pytest.mark.parametrize(
    "extra", [{"depth": float("nan")}, {"depth": [0.0] * 65}, {"x" * 257: 0.0}]
)
def test_what_no_reader_should_act_on_is_refused(extra):
    result = results(FakeModel())[-1]
    result.tracks[0].extra = extra
    with pytest.raises(SchemaError):
        encode(result)
