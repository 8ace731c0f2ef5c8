"""A stream moves to another session, or another process, and goes on as if nothing had happened."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from handover_child import follow, items
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_fakes import NS, FakeConfig, FakeModel, clip

from streamavis import checkpoint
from streamavis.clock import ManualClock
from streamavis.errors import StreamStateError
from streamavis.model import StreamAVIS
from streamavis.runtime import handover
from streamavis.runtime.tracks import TrackConfig
from streamavis.session import Session
from streamavis.types import AudioChunk, VideoFrame

sys.path.append(str(Path(__file__).parents[1] / "model"))
from tiny import KINDS, network

SETTINGS = TrackConfig(max_lost_s=2.0, max_tracks=7)


def session(model=None, **options) -> Session:
    options = {"stream": "cam", "clock": ManualClock(0), "tracks": SETTINGS} | options
    return Session(model or FakeModel(), **options)


def moved(data: bytes, model=None) -> Session:
    return Session.from_bytes(data, model or FakeModel(), clock=ManualClock(0))


def restless(seed: int) -> list[AudioChunk | VideoFrame]:
    """A clip with lost sound, pauses, an epoch or two, and frames that were dropped."""
    rng = np.random.default_rng(seed)
    jumps = rng.choice([0.1, 0.1, 0.1, 0.4, 2.0, 6.0, -1.0], 24)
    times = np.maximum(np.cumsum(jumps), 0)
    return [
        item
        for item in clip(24, at=lambda n: round(times[n] * NS))
        if rng.random() < (0.7 if isinstance(item, AudioChunk) else 0.9)
    ]


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    cuts=st.lists(st.integers(0, 35), max_size=3),
    has_audio=st.booleans(),
    delay_s=st.sampled_from([0.0, 0.06]),
    period_s=st.sampled_from([0.0, 0.1, 2.0]),
)
def test_a_session_goes_on_where_another_stood(seed, cuts, has_audio, delay_s, period_s):
    options = {"has_audio": has_audio, "audio_delay_s": delay_s, "frame_period_s": period_s}
    whole, parts = session(**options), session(**options)
    stream = restless(seed)
    expected = follow(whole, stream)
    results = []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(stream)]):
        results += follow(parts, stream[start:end])
        parts = moved(parts.to_bytes())
    assert results == expected
    assert parts.to_bytes() == whole.to_bytes(), "nothing else is remembered"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_moves(kind, monkeypatch):
    model = network(0, kind)
    if model.config.audio == "vggish":  # sessions hear sound: let a fake ear have features of it
        monkeypatch.setattr(model.audio_encoder, "_hear", lambda audio: audio[:, :15_360:120].abs())
    stream = list(clip(12))
    whole, parts = session(model), session(model)
    expected = follow(whole, stream)
    results = follow(parts, stream[:13])
    results += follow(
        moved(parts.to_bytes(), network(0, kind) if kind == "dense" else model), stream[13:]
    )
    assert results == expected


def test_another_process_goes_on_bit_for_bit(tmp_path):
    torch.set_num_threads(1)
    path = tmp_path / "model.safetensors"
    checkpoint.save(network(memory_stride_s=0.5), path, half=False)
    stream = list(items())
    tracks = TrackConfig(score_on=0.01, score_off=0.0, visible_on=0.0)
    here = session(checkpoint.load(path), tracks=tracks)
    # Within a gap in its sound, at the frame that starts the second epoch, and within that.
    cuts = (33, 35, 50)
    results = []
    for n, item in enumerate(stream):
        if n in cuts:
            (tmp_path / f"{n}.session").write_bytes(here.to_bytes())
        results.append(follow(here, [item]))
    child = Path(__file__).with_name("handover_child.py")
    where = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, str(child), str(tmp_path)]
    done = subprocess.run(command, env=os.environ | where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for cut in cuts:
        expected = [result for one in results[cut:] for result in one]
        assert any(result.tracks for result in expected), "there are tracks to carry on"
        assert (tmp_path / f"{cut}.json").read_bytes() == msgspec.json.encode(expected), cut
    assert [r.epoch for r in results[35]] == [1]
    assert [r.audio for r in results[33]] == ["gap"]


def test_what_an_engine_set_to_save_time_moves_along():
    here = session()
    here.short_side, here.max_tracks, here.microphone_lost = 48, 1, True
    follow(here, clip(4))
    there = moved(here.to_bytes())
    assert (there.short_side, there.max_tracks, there.microphone_lost) == (48, 1, True)
    assert follow(there, list(clip(8))[8:]) == follow(here, list(clip(8))[8:])


def test_a_source_that_counts_anew_does_not_take_seq_back():
    first, second = list(clip(5)), list(clip(8))
    here = session()
    before = follow(here, first)
    later = [
        replace(item, capture_time_ns=item.capture_time_ns + NS)
        for item in second
        if isinstance(item, VideoFrame)
    ]
    after = follow(moved(here.to_bytes()), later)
    assert [result.seq for result in before + after] == list(range(13))
    assert [t.id for t in after[0].tracks] == [1, 2], "and the objects keep their ids"


def test_only_the_model_it_ran_on_will_do():
    model = network()
    data = session(model).to_bytes()
    with pytest.raises(StreamStateError, match="whose window is 3, but this one's is 2"):
        moved(data, network(window=2))
    with pytest.raises(StreamStateError, match=r"other weights .* than this model's"):
        moved(data, network(1))
    other = FakeModel(config=FakeConfig(classes=("a",)))
    with pytest.raises(StreamStateError, match="whose classes is"):
        moved(session().to_bytes(), other)
    moved(data, network())


@pytest.fixture
def data() -> bytes:
    here = session()
    follow(here, clip(5))
    return here.to_bytes()


def test_bytes_of_anything_else_are_refused(data):
    for wrong in (b"", b"PK\x03\x04", b"\x80\x04K\x01.", data[1:], bytes(100)):
        with pytest.raises(StreamStateError, match="these are something else"):
            moved(wrong)
    with pytest.raises(StreamStateError, match=r"another version.*same version of StreamAVIS"):
        moved(data.replace(b"session.1", b"session.9", 1))


@settings(max_examples=30)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_damage_is_noticed(place, flip):
    here = session()
    follow(here, clip(3))
    data = bytearray(here.to_bytes())
    data[int(place * len(data))] ^= flip
    with pytest.raises(StreamStateError, match=r"damaged|something else|another version"):
        moved(bytes(data))
    with pytest.raises(StreamStateError):
        moved(bytes(data[: int(place * len(data))]))


def forged(data: bytes, **changes: object) -> bytes:
    """A session whose digest is right and whose content is not."""
    return handover.encode(msgspec.structs.replace(handover.decode(data), **changes))


def test_content_that_does_not_fit_is_named(data):
    good = handover.decode(data)
    past = good.model[0]
    huge = msgspec.structs.replace(past, shape=(1 << 40,))
    short = msgspec.structs.replace(past, data=past.data[:-1])
    cast = msgspec.structs.replace(past, dtype="float64")
    for model, message in (
        ([], "holds 0 tensors, expected 1"),
        ([huge], r"tensor 0 .* int64 \(1099511627776,\) .* expected int64 \(1,\)"),
        ([cast], r"float64 \(1,\)"),
        ([short], "has 7 bytes in the session, expected 8"),
    ):
        with pytest.raises(StreamStateError, match=message):
            moved(forged(data, model=model))
    slots = good.tracks["slots"]
    longer = msgspec.structs.replace(slots, shape=(9,), data=bytes(72))
    for tracks, message in (
        ({k: v for k, v in good.tracks.items() if k != "held"}, "columns"),
        (good.tracks | {"slots": longer}, r"column slots .* \(9,\) .* expected int64 \(2,\)"),
        (good.tracks | {"embeddings": slots}, "embeddings have shape"),
    ):
        with pytest.raises(StreamStateError, match=message):
            moved(forged(data, tracks=tracks))
    with pytest.raises(StreamStateError, match="AudioRing"):
        moved(forged(data, ring=b"no ring"))
    with pytest.raises(StreamStateError, match=r"no session: .*4096.*short_side"):
        moved(forged(data, short_side=1 << 30))
    body = msgspec.msgpack.encode({"stream": 5})
    fake = handover._MAGIC + handover._digest([body]) + body
    with pytest.raises(StreamStateError, match="no session"):
        moved(fake)


def test_a_stream_that_has_seen_nothing_moves_too():
    fresh = moved(session().to_bytes())
    assert follow(fresh, clip(8)) == follow(session(), clip(8))


def test_sixteen_bit_pasts_travel():
    model = network().to(torch.bfloat16)
    state, other = model.init_state(2), model.init_state(2)
    for tensor in state.tensors():
        tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
    handover.unpack_tensors(handover.pack_tensors(state.tensors()), other.tensors())
    assert all(map(torch.equal, state.tensors(), other.tensors()))
    assert isinstance(model, StreamAVIS)
