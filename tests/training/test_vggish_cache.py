"""VGGish's features on disk: computed once, AVISeg's own taken as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from streamavis_training.data.vggish import FeatureCache, Recording, read_features

from streamavis.errors import InputError


class Vggish(torch.nn.Module):
    """Counts its calls."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((1,), weight))
        self.calls = 0

    def per_second(self, waveform: torch.Tensor, rows: int, rate: float) -> torch.Tensor:
        self.calls += 1
        return (self.weight * waveform[:rows].sum()).expand(rows, 128)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "WAVAudios").mkdir()
    for name in ("a", "b"):
        (tmp_path / "WAVAudios" / f"{name}.wav").write_bytes(name.encode() * 50)
    return tmp_path


def waveform(path) -> np.ndarray:
    return np.frombuffer(path.read_bytes(), np.uint8).astype(np.float32)


def recordings(folder) -> list[Recording]:
    return [Recording(folder / "WAVAudios" / f"{name}.wav", rows=4) for name in ("a", "b")]


def test_features_are_computed_once(folder):
    vggish, told = Vggish(1.0), []
    cache = FeatureCache(folder / "cache", vggish, waveform)
    paths = cache.fill(recordings(folder), lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]
    assert vggish.calls == 2
    again = Vggish(1.0)
    assert FeatureCache(folder / "cache", again, waveform).fill(recordings(folder)) == paths
    assert again.calls == 0
    assert np.array_equal(np.load(paths[0]), np.full((4, 128), 4 * ord("a"), np.float32))


def test_other_sound_or_weights_are_other_features(folder):
    paths = FeatureCache(folder / "cache", Vggish(1.0), waveform).fill(recordings(folder))
    (folder / "WAVAudios" / "a.wav").write_bytes(b"c" * 50)
    changed = FeatureCache(folder / "cache", Vggish(1.0), waveform).fill(recordings(folder))
    assert changed[0] != paths[0]
    assert changed[1] == paths[1]
    other = FeatureCache(folder / "cache", Vggish(2.0), waveform).fill(recordings(folder))
    assert other[1] != paths[1]


def test_published_features_come_first_and_may_lack_a_row(folder):
    (folder / "FEATAudios").mkdir()
    published = folder / "FEATAudios" / "a.npy"
    np.save(published, np.arange(3 * 128, dtype=np.float64).reshape(3, 128))
    cache = FeatureCache(folder / "cache", None, waveform)
    assert cache.fill(recordings(folder)[:1]) == [published]
    rows = read_features(published, [2, 3])
    assert rows.dtype == np.float32
    assert np.array_equal(rows[0], np.arange(256, 384))
    assert not rows[1].any()
    with pytest.raises(InputError, match=r"b\.wav has no features"):
        cache.fill(recordings(folder))


def test_another_file_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 5)))
    with pytest.raises(InputError, match=r"\(3, 5\), expected numbers \(T, 128\)"):
        read_features(tmp_path / "x.npy", [0])
