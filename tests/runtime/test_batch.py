"""Several streams in one step are what each would be alone."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from runtime_fakes import NS, FakeModel, picture

from streamavis.errors import ShapeError
from streamavis.runtime.batch import StreamBatch
from streamavis.session import Session
from streamavis.types import AudioChunk, VideoFrame

sys.path.append(str(Path(__file__).parents[1] / "model"))
from tiny import network

NAMES = ["a", "b", "c"]


def frame(stream: int, n: int, *, height: int = 48) -> VideoFrame:
    rng = np.random.default_rng(100 * stream + n)
    image = rng.integers(0, 255, (height, 64, 3), dtype=np.uint8)
    return VideoFrame(image, n * NS // 4, index=n, clock="driver")


def sessions(model) -> list[Session]:
    made = [Session(model, stream=name) for name in NAMES]
    for k, session in enumerate(made):
        noise = np.random.default_rng(k).normal(0, 0.1, 160_000).astype(np.float32)
        session.hear(AudioChunk(noise, 0))
    return made


def outputs_of(session: Session, outcome) -> list[torch.Tensor]:
    assert not isinstance(outcome, Exception), outcome
    return [outcome.class_logits, outcome.mask_logits, outcome.sounding_logits, outcome.identity]


def run(batch: StreamBatch, streams: list[Session], who: list[int], n: int, **options):
    ready = {k: streams[k].begin(frame(k, n, **options)) for k in who}
    return {k: outputs_of(streams[k], out) for k, out in batch.step(ready).items()}


@pytest.mark.parametrize("device", ["cpu", "fixed slots"])
def test_a_batch_equals_its_streams_alone(device, monkeypatch):
    """Streams come and go, join and stall; each is as if it were by itself."""
    model = network()
    together, alone = sessions(model), sessions(model)
    batch, singles = StreamBatch(together), [StreamBatch([session]) for session in alone]
    if device != "cpu":  # the way of a GPU, without one
        batch._fixed = True
    rng = random.Random(0)
    for n in range(24):
        who = sorted(rng.sample(range(3), rng.randint(1, 3)))
        if n == 12:
            for streams in (together, alone):
                streams[1].rebuild()
        got = run(batch, together, who, n)
        for k in who:
            ready = alone[k].begin(frame(k, n))
            expected = outputs_of(alone[k], singles[k].step({0: ready})[0])
            for ours, theirs in zip(got[k], expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for one, other in zip(together, alone, strict=True):
        for ours, theirs in zip(one.state.tensors(), other.state.tensors(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_one_stream_by_itself_among_several_is_bit_for_bit_what_it_is_alone():
    model = network()
    streams, (alone, *_) = sessions(model), sessions(model)
    batch, single = StreamBatch(streams), StreamBatch([alone])
    for n in range(8):
        (got,) = run(batch, streams, [0], n).values()
        (expected,) = run(single, [alone], [0], n).values()
        assert all(a.equal(b) for a, b in zip(got, expected, strict=True))


def test_pictures_of_other_sizes_are_stepped_apart():
    model = network()
    streams = sessions(model)
    batch = StreamBatch(streams)
    ready = {k: streams[k].begin(frame(k, 0, height=48 if k < 2 else 96)) for k in range(3)}
    outcomes = batch.step(ready)
    assert [type(outcomes[k]).__name__ for k in range(3)] != ["Exception"] * 3
    assert outcomes[0].mask_logits.shape != outcomes[2].mask_logits.shape
    assert [s.state.counters.seen.item() for s in streams] == [1, 1, 1]


def test_a_failing_step_stays_with_the_stream_it_belongs_to():
    class Picky(FakeModel):
        def step(self, frames, audio, state, **options):
            if (frames[:, 2] > 128).any():
                raise RuntimeError("no blue, please")
            return super().step(frames, audio, state, **options)

    model = Picky()
    streams = [Session(model, stream=name, has_audio=False) for name in NAMES]
    batch = StreamBatch(streams)
    colours = [0, 2, 1]
    ready = {
        k: session.begin(VideoFrame(picture((colours[k], 5, 5, 50, 50)), 0, 0, "driver"))
        for k, session in enumerate(streams)
    }
    outcomes = batch.step(ready)
    assert isinstance(outcomes[1], RuntimeError)
    assert [s.state.steps.item() for s in streams] == [1, 0, 1]


def test_nan_belongs_to_one_stream():
    model = FakeModel(break_at=3)
    streams = [Session(model, stream=name, has_audio=False) for name in NAMES]
    batch = StreamBatch(streams)
    streams[2].state.steps += 3
    image = picture((0, 5, 5, 50, 50))
    ready = {k: s.begin(VideoFrame(image, 0, 0, "driver")) for k, s in enumerate(streams)}
    outcomes = batch.step(ready)
    finite = [bool(outcomes[k].mask_logits.isfinite().all()) for k in range(3)]
    assert finite == [True, True, False]


def test_sessions_of_two_models_make_no_batch():
    with pytest.raises(ValueError, match="share one model"):
        StreamBatch([Session(FakeModel(), stream="a"), Session(FakeModel(), stream="b")])


def test_a_session_carries_its_past_into_the_batch():
    model = FakeModel()
    streams = [Session(model, stream=name, has_audio=False) for name in NAMES]
    streams[1].see(VideoFrame(picture(), 0, 0, "driver"))
    StreamBatch(streams)
    assert [s.state.steps.item() for s in streams] == [0, 1, 0]
    with pytest.raises(ShapeError):
        streams[0].begin(VideoFrame(np.zeros((3, 3), np.uint8), 0, 0, "driver"))
