"""Procedural clips on disk: what is written is what is read, whatever was there before."""

import json
import wave
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from streamavis_training import synth
from streamavis_training.data import layout
from streamavis_training.world import CLASSES, WorldConfig, clip

from streamavis.errors import InputError, OutputError

CONFIG = WorldConfig(width=128, height=72, fps=8, duration_s=1.0)
SEED = 11


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "three"
    done = []
    synth.write(out, 3, SEED, config=CONFIG, progress=done.append)
    assert done == [1, 2, 3]
    return out


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_read_gives_back_the_truth(written):
    videos = layout.read(written)
    assert len(videos) == 3
    for i, video in enumerate(videos):
        made = clip(synth.clip_seed(SEED, i), CONFIG)
        assert (video.fps, video.height, video.width) == (8, 72, 128)
        assert len(video.instances) == len(made.class_ids)
        for n, instance in enumerate(video.instances):
            assert instance.class_id == made.class_ids[n]
            assert instance.label == CLASSES[made.class_ids[n]]
            assert np.array_equal(instance.sounding, made.sounding[:, n])
            assert np.array_equal(instance.visible, made.visible[:, n])
            for t in range(8):
                assert np.array_equal(instance.mask(t), made.ids[t] == n + 1)
                box = instance.boxes[t]
                assert (box is None) == (not made.visible[t, n])
                if box is not None:
                    rows, columns = np.nonzero(instance.mask(t))
                    assert box[:2] == [columns.min(), rows.min()]
                    assert box[2:] == [np.ptp(columns) + 1, np.ptp(rows) + 1]
        off_screen = np.zeros((8, len(CLASSES)), bool)
        for source in made.off_screen:
            off_screen[:, source.class_id] |= source.sounding
        assert np.array_equal(video.off_screen, off_screen)


def test_pictures_and_sound_are_the_clips(written):
    for i, video in enumerate(layout.read(written)):
        made = clip(synth.clip_seed(SEED, i), CONFIG)
        for path, frame in zip(video.frames, made.frames, strict=True):
            stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(int)
            assert np.abs(stored - cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)).mean() < 3
        with wave.open(str(video.wav)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
        assert np.abs(samples - made.waveform).max() < 1e-4


def test_the_movie_plays_the_same(written):
    made = clip(synth.clip_seed(SEED, 0), CONFIG)
    with av.open(str(written / synth.MOVIES / "clip00000.mp4")) as file:
        frames = list(file.decode(video=0))
    assert [frame.time for frame in frames] == [t / 8 for t in range(8)]
    for frame, original in zip(frames, made.frames, strict=True):
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - original).mean() < 12
    with av.open(str(written / synth.MOVIES / "clip00000.mp4")) as file:
        sound = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])[:16000]
    sound = np.pad(sound, (0, 16000 - len(sound)))
    lag = int(np.argmax(np.correlate(sound, made.waveform, "full"))) - 15999
    assert abs(lag) < 160  # 10 ms
    assert np.corrcoef(sound, made.waveform)[0, 1] > 0.9


def test_an_odd_size_can_be_a_movie(tmp_path):
    made = clip(1, replace(CONFIG, width=85, height=49))
    synth.write_movie(tmp_path / "odd.mp4", made)
    with av.open(str(tmp_path / "odd.mp4")) as file:
        assert (file.streams.video[0].width, file.streams.video[0].height) == (85, 49)


def test_a_small_set_is_the_beginning_of_a_large_one(written, tmp_path):
    synth.write(tmp_path / "one", 1, SEED, config=CONFIG)
    one, three = files(tmp_path / "one"), files(written)
    for path, content in one.items():
        assert path.name == layout.ANNOTATIONS or three[path] == content
    begin, whole = (
        json.loads((f / layout.ANNOTATIONS).read_text()) for f in (tmp_path / "one", written)
    )
    assert begin["videos"] == whole["videos"][:1]
    assert begin["annotations"] == whole["annotations"][: len(begin["annotations"])]
    assert begin["info"] == whole["info"]


def test_processes_change_nothing(written, tmp_path):
    synth.write(tmp_path / "again", 3, SEED, config=CONFIG, jobs=2)
    assert files(tmp_path / "again") == files(written)


def test_an_earlier_output_is_replaced(tmp_path):
    synth.write(tmp_path, 2, 1, config=CONFIG)
    synth.write(tmp_path, 1, 2, config=CONFIG)
    assert [v.name for v in layout.read(tmp_path)] == ["clip00000"]
    assert {p.name for p in (tmp_path / layout.FRAMES).iterdir()} == {"clip00000"}


def test_an_interrupted_output_is_not_complete_and_is_replaced(tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    synth.write(tmp_path, 1, 1, config=CONFIG)
    with pytest.raises(KeyboardInterrupt):
        synth.write(tmp_path, 2, 1, config=CONFIG, progress=stop)
    with pytest.raises(InputError, match=r"annotations\.json"):
        layout.read(tmp_path)
    synth.write(tmp_path, 1, 1, config=CONFIG)
    assert len(layout.read(tmp_path)) == 1


@pytest.mark.parametrize("content", ["{}", "[1]", "not json", '{"info": {"generator": "other"}}'])
def test_foreign_folders_are_left_alone(tmp_path, content):
    (tmp_path / layout.ANNOTATIONS).write_text(content)
    with pytest.raises(OutputError, match=str(tmp_path)):
        synth.write(tmp_path, 1, 1, config=CONFIG)
    assert (tmp_path / layout.ANNOTATIONS).read_text() == content


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        synth.write(tmp_path / "x", 1, 1, config=CONFIG)
