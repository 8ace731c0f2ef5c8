"""`load` and `segment`: networks on their device, and the typed result of a recording."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from humming_clip import write_humming_clip

import streamavis as sa
from streamavis import checkpoint
from streamavis.errors import ArgumentError, CheckpointError, InputError
from streamavis.masks import encode

sys.path.append(str(Path(__file__).parent / "model"))
import tiny
from test_avism import TINY
from test_avism import network as offline_network


def mask_at(x: int | None) -> sa.Rle:
    mask = np.zeros((6, 8), np.bool_)
    if x is not None:
        mask[1:3, x : x + 2] = True
    return encode(mask)


def clip_result() -> sa.ClipResult:
    """A bell that moves over three frames, and a drum in the last one."""
    bell = [mask_at(0), mask_at(3), mask_at(None)]
    drum = [mask_at(None), mask_at(None), mask_at(5)]
    tracks = [
        sa.ClipTrack(1, "bell", 0, 0.9, np.array([True, True, False]), bell),
        sa.ClipTrack(2, "drum", 1, 0.5, np.array([False, False, True]), drum),
    ]
    return sa.ClipResult("a/b.mp4", (6, 8), 2.0, np.arange(3) / 2, tracks, has_audio=True)


def test_a_clip_s_tracks_have_masks_times_and_who_sounds_when():
    clip = clip_result()
    (bell,) = clip["bell"]
    assert clip["cat"] == []
    assert (bell.masks.shape, bell.masks.dtype) == ((3, 6, 8), np.bool_)
    assert bell.mask(1)[1, 3]
    assert clip.times_s[bell.sounding].tolist() == [0.0, 0.5]


def test_a_clip_s_frames_are_results_as_the_live_network_s():
    results = list(clip_result())
    assert [[t.label for t in result] for result in results] == [["bell"], ["bell"], ["drum"]]
    last = results[2]
    assert (last.stream, last.seq, last.capture_time_ns) == ("b", 2, 1_000_000_000)
    assert (last.audio, last.sounding, last.size) == ("ok", last.tracks, (6, 8))
    (drum,) = last["drum"]
    assert (drum.id, drum.box, drum.area, drum.centroid) == (2, (5, 1, 2, 2), 4, (5.5, 1.5))
    with pytest.raises(ArgumentError, match="frame 3 is asked for; expected 0 to 2"):
        clip_result().frame(3)


def test_load_places_a_network_and_says_what_it_computes_in(tmp_path):
    checkpoint.save(tiny.network(), tmp_path, half=False)
    model = sa.load(tmp_path, device="cpu", dtype="bf16")
    assert isinstance(model, sa.StreamAVIS)
    assert (model.device, model.compute_dtype) == (torch.device("cpu"), torch.bfloat16)
    results = list(sa.open("lavfi:testsrc2=size=64x64:rate=10:duration=0.3[out0]", model))
    assert len(results) == 3


def test_segment_takes_a_model_a_network_or_a_file(tmp_path):
    path, video = tmp_path / "avism.safetensors", write_humming_clip(tmp_path / "clip.mp4")
    checkpoint.save(offline_network(short_side=64), path, half=False)
    features = np.ones((2, TINY.audio_channels), np.float32)
    options = {"fps": 2.0, "threshold": 0.05, "features": features}
    model = sa.load(path, "cpu", offline=True)
    assert isinstance(model, sa.OfflineModel)
    assert model.classes == TINY.classes
    stages: list[tuple[str, int, int | None]] = []
    clip = sa.segment(video, model, progress=lambda *stage: stages.append(stage), **options)
    assert (len(clip), clip.size, clip.has_audio) == (2, (90, 160), True)
    assert clip.tracks
    assert ("seeing", 2, 2) in stages
    for other in (model.network, path):
        again = sa.segment(str(video), other, **options)
        assert [t.rles for t in again.tracks] == [t.rles for t in clip.tracks]
    half = sa.segment(video, sa.load(path, "cpu", "bf16", offline=True), **options)
    assert half.times_s.tolist() == [0.0, 0.5]


def test_what_is_of_another_kind_or_cannot_hear_is_named(tmp_path):
    path, video = tmp_path / "avism.safetensors", write_humming_clip(tmp_path / "clip.mp4", 3)
    checkpoint.save(offline_network(short_side=64), path, half=False)
    with pytest.raises(CheckpointError, match="kind 'avism', expected 'streamavis'"):
        sa.load(path)
    with pytest.raises(CheckpointError, match="kind 'streamavis', expected 'avism'"):
        sa.load("nano", offline=True)
    with pytest.raises(InputError, match=r"holds no VGGish to hear clip\.mp4"):
        sa.segment(video, path)
    with pytest.raises(InputError, match=r"features: holds float64 \(5, 5\), expected numbers"):
        sa.segment(video, path, features=np.ones((5, 5)))
