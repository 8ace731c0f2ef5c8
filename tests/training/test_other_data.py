"""A data set of another format is one source and one line."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from streamavis_training.data.sample import ClipShape, collate
from streamavis_training.data.sources import READERS, read_other
from streamavis_training.recipes.data import DataConfig

from streamavis.errors import InputError

sys.path.append(str(Path(__file__).parents[1]))
from extending import load_listing


def test_the_recipe_for_a_new_data_set(monkeypatch, tmp_path):
    """docs/EXTENDING.md: its source and its line in `READERS`."""
    new = load_listing("A data set", "streamavis_training.data.arrays")
    monkeypatch.setitem(READERS, "arrays", new.ArraySource)
    with pytest.raises(InputError, match=r"has no \.npz file"):
        read_other(f"arrays:{tmp_path}")
    (tmp_path / "classes.txt").write_text("dog\ncar\n")
    masks = np.zeros((5, 2, 40, 60), bool)
    masks[1:, 0, :20], masks[:, 1, 20:, 30:] = True, True
    frames = np.random.default_rng(0).integers(0, 256, (5, 40, 60, 3), np.uint8)
    np.savez(tmp_path / "one.npz", frames=frames, masks=masks, class_ids=[1, 0])
    config = DataConfig(train=f"arrays:{tmp_path}")
    assert config.classes() == ("dog", "car")
    source = pickle.loads(pickle.dumps(config.source(tmp_path, config.classes())))
    shape = ClipShape(3, 32, 48)
    first, again = (source.draw(shape, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first.frames, again.frames)
    batch = collate([first], objects=2)
    assert batch.frames.shape == (1, 3, 3, 32, 48)
    assert batch.truth.seen.any()


def test_a_folder_is_no_address():
    assert read_other("") is None
    assert read_other("data/train") is None
    assert read_other("C:/data") is None
