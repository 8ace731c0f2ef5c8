"""`streamavis segment` on recordings of every kind: right, or one error that says why."""

from __future__ import annotations

import io
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from rich.console import Console
from rich.progress import Progress
from streamavis_apps.app import app
from streamavis_apps.exits import ExitCode
from streamavis_apps.offline.segment import Segmenting, run
from typer.testing import CliRunner

from streamavis import checkpoint
from streamavis.audio.vggish import FEATURES, VGGish
from streamavis.errors import CheckpointError, InputError, OutputError
from streamavis.io.media import MediaSource
from streamavis.io.sampled import frames_at, listen
from streamavis.masks import decode
from streamavis.types import Rle

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("model", "io")]
from clips import HERTZ, Pictures, Sound, write_clip
from test_avism import network

RATE = 16_000
CLIP = Pictures(ticks=tuple(range(60)))  # 2 s


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "avism.safetensors"
    checkpoint.save(network(short_side=64, audio_channels=FEATURES), path, half=False)
    return path


@pytest.fixture
def light_vggish(monkeypatch) -> None:
    """The way from sound to rows, with a network that weighs nothing."""

    class Light(torch.nn.Module):
        per_second = VGGish.per_second

        def forward(self, examples: torch.Tensor) -> torch.Tensor:
            return examples.flatten(1)[:, :1].expand(-1, FEATURES)

    monkeypatch.setattr(checkpoint, "load_vggish", lambda path: Light())


@pytest.fixture
def plan(tmp_path, weights) -> Segmenting:
    return Segmenting(
        source=tmp_path / "clip.mp4", model=weights, out=tmp_path / "out", threshold=0.05
    )


def segmented(plan: Segmenting) -> tuple[str, list[dict], av.container.InputContainer]:
    text = io.StringIO()
    assert run(plan, console=Console(file=text, width=100)) is ExitCode.DONE
    results = json.loads((plan.out / "results.json").read_text())
    return text.getvalue(), results, av.open(str(plan.out / "annotated.mp4"))


def tone(waveform: np.ndarray) -> tuple[float, float]:
    """Frequency and amplitude of the loudest sine in the middle second."""
    middle = waveform[RATE // 2 : RATE // 2 + RATE]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) / (len(middle) / 4)
    return int(spectrum.argmax()), float(spectrum.max())


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("surround.mp4", Sound(layout="5.1", pieces_s=((0, 2),))),
        ("surround.mkv", Sound("ac3", layout="5.1", pieces_s=((0, 2),))),
        ("telephone.mp4", Sound(rate=8_000, pieces_s=((0, 2),))),
        ("telephone.mkv", Sound("pcm_s16le", rate=8_000, pieces_s=((0, 2),))),
        ("stereo.webm", Sound("libopus", layout="stereo", pieces_s=((0, 2),))),
    ],
)
def test_sound_of_any_kind_is_heard_and_kept(plan, light_vggish, name, sound):
    codec = "libvpx" if name.endswith("webm") else "libx264"
    source = write_clip(plan.source.with_name(name), replace(CLIP, codec=codec), sound)
    with MediaSource(source) as media:
        heard = listen(media, 1.0)
    frequency, amplitude = tone(heard.waveform)
    assert frequency == HERTZ
    # The mean of channels that are alike, but for AAC's sixth, which keeps the lowest tones only.
    assert 0.5 * 5 / 6 * 0.98 < amplitude < 0.52
    report, results, video = segmented(replace(plan, source=source))
    assert "in 2 frames" in report
    assert results
    with video:
        (track,) = video.streams.audio
        seconds = sum(frame.samples for frame in video.decode(track)) / track.sample_rate
    assert seconds == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("size", [(65, 47), (64, 47), (33, 64)])
def test_odd_sizes(plan, light_vggish, size):
    pictures = replace(CLIP, codec="ffv1", pixels="yuv444p", size=size)
    source = write_clip(plan.source.with_suffix(".mkv"), pictures)
    _, results, video = segmented(replace(plan, source=source))
    assert results
    assert all(rle["size"] == [size[1], size[0]] for r in results for rle in r["segmentations"])
    with video:
        frame = next(video.decode(video=0))
    assert (frame.width, frame.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_recording_is_segmented_upright(plan, light_vggish, degrees):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255  # the corner tells which way is up
    source = write_clip(plan.source, replace(CLIP, image=image, rotation=(degrees, False, False)))
    _, results, video = segmented(plan)
    upright = np.rot90(image, degrees // 90)
    assert results[0]["segmentations"][0]["size"] == list(upright.shape[:2])
    with video:
        frame = next(video.decode(video=0))
    assert (frame.height, frame.width) == upright.shape[:2]
    with MediaSource(source) as media:
        shown = next(frames_at(media, 1.0)).image
    assert np.abs(shown.astype(int) - upright).mean() < 8


def test_a_variable_frame_rate_keeps_time(plan, light_vggish):
    """Frame n is grey n * 8; a still picture of 2 s stands in the middle."""
    ticks = (*range(30), *range(90, 120))  # 0..1 s, 3..4 s
    write_clip(plan.source, replace(CLIP, ticks=ticks))
    with MediaSource(plan.source) as media:
        shown = [int(frame.image.mean()) for frame in frames_at(media, 1.0)]
    # The last one before the pause is on the screen at 1 and 2 s.
    assert shown == pytest.approx([0, 29 * 8, 29 * 8, 30 * 8], abs=3)
    report, _, video = segmented(plan)
    assert "in 4 frames" in report
    with video:
        times = [frame.time for frame in video.decode(video=0)]
    assert times == pytest.approx([0, 1, 2, 3], abs=1e-3)


def test_sound_that_ends_early_is_followed_by_silence(plan, light_vggish):
    write_clip(plan.source, replace(CLIP, ticks=tuple(range(90))), Sound(pieces_s=((0, 1.5),)))
    with MediaSource(plan.source) as media:
        heard = listen(media, 1.0)
    assert heard.frames == 3
    assert len(heard.waveform) / RATE == pytest.approx(1.5, abs=0.1)
    assert "in 3 frames" in segmented(plan)[0]


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("notes.mp4", b"not a film\n" * 100, r"notes\.mp4: not a media file"),
        ("empty.mp4", b"", r"empty\.mp4: the file is empty"),
        ("noise.mkv", bytes(range(256)) * 40, r"noise\.mkv: not a media file"),
        (None, b"", r"clip\.mp4: no such file"),
    ],
)
def test_what_is_no_recording_is_named_and_nothing_written(plan, name, content, cause):
    if name is not None:
        plan = replace(plan, source=plan.source.with_name(name))
        plan.source.write_bytes(content)
    with pytest.raises(InputError, match=cause):
        run(plan)
    assert not plan.out.exists()


def test_only_sound_is_no_recording(plan):
    write_clip(plan.source.with_suffix(".wav"), None, Sound("pcm_s16le"))
    with pytest.raises(InputError, match="holds no picture, only sound"):
        run(replace(plan, source=plan.source.with_suffix(".wav")))


def test_what_cannot_hear_says_how_it_could(plan):
    write_clip(plan.source, CLIP, Sound(pieces_s=((0, 2),)))
    with pytest.raises(InputError, match=r"holds no VGGish to hear clip\.mp4.*--vggish.*--mute"):
        run(plan)
    assert not plan.out.exists()
    assert "taken as silent" in segmented(replace(plan, mute=True))[0]


def test_silence_needs_no_ears(plan):
    write_clip(plan.source, CLIP)
    assert "has no sound" in segmented(plan)[0]


def test_a_causal_network_is_refused(plan):
    write_clip(plan.source, CLIP)
    with pytest.raises(CheckpointError, match=r"kind 'streamavis', expected 'avism'.*convert"):
        run(replace(plan, model=checkpoint.find("nano")))


def test_an_output_that_cannot_be_is_named(plan):
    write_clip(plan.source, CLIP)
    plan.out.write_text("in the way")
    with pytest.raises(OutputError, match=r"out: cannot be made"):
        run(plan)


@pytest.mark.parametrize("stage", ["hearing", "seeing", "drawing"])
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.DONE)],
)
def test_a_signal_ends_it_after_the_frame_it_is_at(plan, monkeypatch, stage, number, code):
    write_clip(plan.source, replace(CLIP, ticks=tuple(range(120))))
    raise_in(monkeypatch, stage, number)
    text = io.StringIO()
    assert run(plan, console=Console(file=text, width=100)) is code
    assert f"stopped while {stage}, after frame 1 of clip.mp4" in text.getvalue()
    assert not (plan.out / "results.json").exists()


def test_a_signal_while_writing_leaves_what_is_readable(plan, monkeypatch):
    write_clip(plan.source, replace(CLIP, ticks=tuple(range(120))))
    raise_in(monkeypatch, "writing", signal.SIGINT)
    text = io.StringIO()
    assert run(plan, console=Console(file=text, width=100)) is ExitCode.INTERRUPTED
    assert "results.json is complete" in text.getvalue()
    assert json.loads((plan.out / "results.json").read_text())
    with av.open(str(plan.out / "annotated.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 1


def raise_in(monkeypatch, stage: str, number: int) -> None:
    """Let a signal arrive when the first frame of a stage is done."""
    tasks: dict[int, str] = {}
    add, update = Progress.add_task, Progress.update

    def add_task(self, description: str, **options: object) -> int:
        task = add(self, description, **options)
        tasks[task] = description
        return task

    def updated(self, task: int, **changes: object) -> None:
        update(self, task, **changes)
        if tasks[task] == stage and changes.get("completed") == 1:
            signal.raise_signal(number)

    monkeypatch.setattr(Progress, "add_task", add_task)
    monkeypatch.setattr(Progress, "update", updated)


def test_results_are_what_the_evaluation_reads(plan, tmp_path):
    """Taken as the truth, they score 1."""
    write_clip(plan.source, CLIP)
    _, results, video = segmented(plan)
    video.close()
    best = results[0]
    masks = [Rle(**frame) for frame in best["segmentations"]]
    truth = {
        "videos": [
            {"id": 1, "width": 64, "height": 48, "length": 2, "file_names": ["v/0.jpg", "v/1.jpg"]}
        ],
        "categories": [{"id": 1, "name": "bell"}, {"id": 2, "name": "drum"}],
        "annotations": [
            {
                "id": 1,
                "video_id": 1,
                "category_id": best["category_id"],
                "iscrowd": 0,
                "segmentations": best["segmentations"],
                "bboxes": [[0, 0, 64, 48]] * 2,
                "areas": [int(decode(mask).sum()) for mask in masks],
                "avg_area": 1.0,
                "height": 48,
                "width": 64,
            }
        ],
    }
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "pred.json").write_text(json.dumps([best]))
    done = CliRunner().invoke(
        app,
        ["eval", "--gt", str(tmp_path / "gt.json"), "--pred", str(tmp_path / "pred.json")],
    )
    assert done.exit_code == 0, done.output
    assert "100.0" in done.output or "1.00" in done.output
