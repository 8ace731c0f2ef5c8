"""`streamavis segment`: a recording in, results, video and table out."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from app_media import FPS, FRAMES, HEIGHT, WIDTH, write_clip
from rich.console import Console
from streamavis_apps.exits import ExitCode
from streamavis_apps.offline.segment import Segmenting, _spans, run

from streamavis import checkpoint
from streamavis.errors import InputError, TruncatedInputError
from streamavis.io.media import MediaSource
from streamavis.io.sampled import _shown, listen
from streamavis.masks import decode
from streamavis.types import Rle, VideoFrame

sys.path.append(str(Path(__file__).parents[1] / "model"))
from test_avism import TINY, network


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "avism.safetensors"
    checkpoint.save(network(short_side=64), path, half=False)
    return path


@pytest.fixture
def plan(tmp_path, weights) -> Segmenting:
    np.save(tmp_path / "heard.npy", np.ones((3, TINY.audio_channels)))
    return Segmenting(
        source=write_clip(tmp_path / "clip.mp4"),
        model=weights,
        out=tmp_path / "out",
        features=tmp_path / "heard.npy",
        fps=2.0,
        threshold=0.05,
    )


def said(plan: Segmenting) -> str:
    text = io.StringIO()
    assert run(plan, console=Console(file=text, width=100)) is ExitCode.DONE
    return text.getvalue()


def test_results_video_and_table(plan):
    report = said(plan)
    entries = json.loads((plan.out / "results.json").read_text())
    assert entries
    assert f"{len(entries)} object" in report
    assert "in 3 frames" in report
    for entry in entries:
        assert entry["video_id"] == 1
        assert entry["category_id"] in (1, 2)
        assert 0.05 < entry["score"] <= 1
        masks = [decode(Rle(**frame)) for frame in entry["segmentations"]]
        assert [mask.shape for mask in masks] == [(HEIGHT, WIDTH)] * 3
    with av.open(str(plan.out / "annotated.mp4")) as file:
        assert len(file.streams.audio) == 1
        times = [frame.time for frame in file.decode(video=0)]
    assert times == pytest.approx([0, 0.5, 1.0], abs=1e-3)


def test_a_recording_without_sound_says_so(plan, tmp_path):
    silent = replace(plan, source=write_clip(tmp_path / "silent.mp4", sound=False))
    assert "has no sound" in said(silent)
    with av.open(str(plan.out / "annotated.mp4")) as file:
        assert not file.streams.audio


def test_features_of_another_recording_are_refused(plan):
    np.save(plan.features, np.ones((4, TINY.audio_channels)))
    with pytest.raises(InputError, match=r"holds float64 \(4, 8\), expected numbers \(3, 8\)"):
        run(plan)
    plan.features.write_text("no array")
    with pytest.raises(InputError, match=r"heard\.npy: is no \.npy file"):
        run(plan)
    assert not plan.out.exists()


def test_what_was_decoded_of_a_cut_file_is_kept(plan, tmp_path):
    whole = plan.source.with_suffix(".mkv")
    with av.open(str(plan.source)) as source, av.open(str(whole), "w") as file:
        copies = {s.index: file.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                file.mux(packet)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    with MediaSource(cut) as source:
        heard = listen(source, plan.fps)
    assert heard.truncated is not None
    assert 1 <= heard.frames < 3
    np.save(plan.features, np.ones((heard.frames, TINY.audio_channels)))
    with pytest.raises(TruncatedInputError):
        run(replace(plan, source=cut), console=Console(file=io.StringIO()))
    assert (plan.out / "results.json").exists()


def test_listening_keeps_every_sample_in_its_place(plan):
    with MediaSource(plan.source) as source:
        heard = listen(source, 1.0)
    assert heard.frames == 2
    seconds = FRAMES / FPS
    assert len(heard.waveform) == pytest.approx(16_000 * seconds, rel=0.1)
    assert np.abs(heard.waveform[4000:12000]).max() == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(
    ("times_s", "fps", "expected"),
    [
        ([0, 0.4, 0.8, 1.2, 1.6, 2.0], 1.0, [0, 2, 5]),
        ([0, 5.0], 1.0, [0, 0, 0, 0, 0, 1]),  # a still picture stays on the screen
        ([0.1, 0.2], 1.0, [0]),
        ([0, 0.01, 0.02, 1.0], 2.0, [0, 2, 3]),
        ([], 1.0, []),
    ],
)
def test_a_frame_is_what_a_screen_shows(times_s, fps, expected):
    picture = np.zeros((2, 2, 3), np.uint8)
    frames = [VideoFrame(picture, round(t * 1e9), i, "pts") for i, t in enumerate(times_s)]
    assert [frame.index for frame in _shown(iter(frames), fps)] == expected


def test_times_are_told_as_spans():
    assert _spans([True, True, False, True], 1.0) == "0-1, 3"
    assert _spans([False, True, True], 2.0) == "0.5-1"
    assert _spans([False], 1.0) == "never"


def test_vggish_hears_each_frames_second(plan, monkeypatch):
    """The way from a file's sound to rows, with a network that is light."""
    from streamavis.audio import vggish as module

    class Light(torch.nn.Module):
        per_second = module.VGGish.per_second

        def forward(self, examples: torch.Tensor) -> torch.Tensor:
            return examples.flatten(1)[:, :1].expand(-1, module.FEATURES)

    monkeypatch.setattr(checkpoint, "read_foreign", lambda path: {})
    monkeypatch.setattr(checkpoint, "vggish_from_reference", lambda state: Light())
    path = plan.out.with_name("wide.safetensors")
    checkpoint.save(network(short_side=64, audio_channels=module.FEATURES), path, half=False)
    report = said(replace(plan, features=None, vggish=path, model=path))
    assert "in 3 frames" in report
