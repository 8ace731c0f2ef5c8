"""Batches are the same whatever makes them; clips with unlike truth become one batch."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from streamavis_training.data.loader import Loader, Stage
from streamavis_training.data.mix import Mix
from streamavis_training.data.sample import ClipShape, Sample, audio_windows, collate

from streamavis.errors import CapacityError, InputError

SHAPE = ClipShape(2, 20, 33)
CLASSES = ("dog", "drum")


def clip(rng, frames=2, objects=2, **changes):
    masks = np.zeros((frames, objects, 20, 33), np.uint8)
    masks[:, 0, 4:12, 8:16] = 255
    if objects > 1:
        masks[:, 1, 12:20, :4] = 255
    values = {
        "name": "drawn",
        "frames": rng.integers(0, 255, (frames, 20, 33, 3), np.uint8),
        "times_ns": np.arange(1, frames + 1) * 500_000_000,
        "waveform": rng.uniform(-1, 1, 32_000).astype(np.float32),
        "waveform_start_ns": 0,
        "masks": masks,
        "class_ids": np.arange(objects) % 2,
        "visible": np.ones((frames, objects), np.float32),
        "sounding": np.ones((frames, objects), np.float32),
        "level": np.full((frames, objects), np.nan, np.float32),
        "heard": np.ones((frames, 2), np.float32),
        "ignore": None,
    }
    return Sample(**{**values, **changes})


class Drawn:
    """A source of random clips; `fails` at the clips whose first number is below it."""

    classes = CLASSES

    def __init__(self, fails=0.0, error=None):
        self.fails, self.error = fails, error

    def draw(self, shape, rng):
        if rng.random() < self.fails:
            raise self.error
        return clip(rng, shape.frames)


class OddError(Exception):
    """Cannot be unpickled."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


STAGES = (Stage(0.3, 2, replace(SHAPE, frames=1)), Stage(1.0, 1, SHAPE, parts=3))


def loader(source=None, **changes):
    options = {"seed": 5, "rank": 0, "world": 1, "workers": 0, "delayed": 0.5}
    return Loader(source or Drawn(), STAGES, 10, **{**options, **changes})


def same(a, b):
    fields = ("masks", "class_ids", "visible", "sounding", "heard", "level")
    return (
        (a.first, a.last) == (b.first, b.last)
        and all(torch.equal(getattr(a, n), getattr(b, n)) for n in ("frames", "audio", "times_s"))
        and all(
            torch.equal(getattr(a.truth, n).nan_to_num(9), getattr(b.truth, n).nan_to_num(9))
            for n in fields
        )
    )


@pytest.fixture(scope="module")
def wanted():
    return list(loader().batches())


def test_the_schedule(wanted):
    assert [len(b.frames) for b in wanted] == [2] * 3 + [1] * 9, "the last clips are whole"
    assert [b.frames.shape[1] for b in wanted] == [1] * 3 + [2] * 9
    assert [b.first for b in wanted[3:]] == [True, False, False] * 3
    assert [b.last for b in wanted[3:]] == [False, False, True] * 3
    assert wanted[5].times_s[0, 0] == 2.5, "a part goes on where the one before ended"


@pytest.mark.parametrize("step", [0, 1, 3, 5, 9])
def test_resumed_at_any_step(wanted, step):
    again = list(loader().batches(step))
    assert len(again) == len(wanted) - step
    assert all(map(same, again, wanted[step:]))


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(wanted, workers):
    state = torch.get_rng_state()
    made = loader(workers=workers)
    again = list(made.batches(4))
    assert all(map(same, again, wanted[4:]))
    assert len(again) == len(wanted) - 4
    assert made.waited_s > 0
    assert not multiprocessing.active_children()
    assert torch.equal(torch.get_rng_state(), state)


def test_ranks_share_the_clips_of_one_process():
    one = next(Loader(Drawn(), [Stage(1, 4, SHAPE)], 1, seed=3).batches())
    two = [
        next(Loader(Drawn(), [Stage(1, 2, SHAPE)], 1, seed=3, rank=r, world=2).batches())
        for r in range(2)
    ]
    assert torch.equal(one.frames, torch.cat([b.frames for b in two]))
    assert torch.equal(one.audio, torch.cat([b.audio for b in two]))


def test_an_exception_in_a_worker_arrives_once_with_its_place():
    broken = loader(Drawn(1.0, InputError("a.jpg: does not decode")), workers=1)
    with pytest.raises(InputError, match=r"^a\.jpg: does not decode") as caught:
        next(broken.batches())
    (note,) = caught.value.__notes__
    assert "step 0" in note
    assert "in draw" in note, "the worker's traceback"
    assert not multiprocessing.active_children()


def test_an_exception_that_cannot_travel_arrives_as_text():
    with pytest.raises(RuntimeError, match=r"OddError: 1 and 2.*step 0"):
        next(loader(Drawn(1.0, OddError(1, 2))).batches())


def test_a_killed_worker_is_one_clear_error():
    batches = loader(workers=1).batches()
    next(batches)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(CapacityError, match=r"exit code -9.*fewer workers"):
        list(batches)


def test_left_early_no_process_stays():
    batches = loader(workers=1).batches()
    next(batches)
    assert multiprocessing.active_children()
    batches.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("stages", "options", "says"),
    [
        ([], {}, "end at"),
        ([Stage(0.5, 1, SHAPE)], {}, "end at"),
        ([Stage(1.0, 1, SHAPE)], {"rank": 1}, "rank is 1 of 1"),
        ([Stage(1.0, 1, SHAPE)], {"delayed": 2}, "delayed 2"),
    ],
)
def test_bad_settings(stages, options, says):
    with pytest.raises(ValueError, match=says):
        Loader(Drawn(), stages, 3, seed=0, **options)


def test_a_mix_draws_by_weight_and_wants_one_set_of_classes():
    class Named(Drawn):
        def __init__(self, name):
            self.name = name

        def draw(self, shape, rng):
            return clip(rng, name=self.name)

    mix = Mix([(Named("a"), 3), (Named("b"), 1), (Named("never"), 0)])
    rng = np.random.default_rng(0)
    names = [mix.draw(SHAPE, rng).name for _ in range(400)]
    assert 270 < names.count("a") < 330
    assert names.count("a") + names.count("b") == 400
    other = Named("c")
    other.classes = ("cat",)
    with pytest.raises(InputError, match="dog, drum and cat"):
        Mix([(Named("a"), 1), (other, 1)])
    for wrong in ([], [(other, 0)], [(other, -1)]):
        with pytest.raises(InputError):
            Mix(wrong)


def test_masks_become_shares_of_cells_and_rows_are_filled_up():
    rng = np.random.default_rng(0)
    sample = clip(rng)
    sample.masks[0, 0, 4:12, 8:10] = 128
    batch = collate([sample], objects=3)
    truth = batch.truth
    assert batch.frames.shape == (1, 2, 3, 20, 33)
    assert truth.masks.shape == (1, 2, 3, 8, 16)
    assert torch.equal(
        truth.masks[0, 1, 0].nonzero(), torch.tensor([[1, 2], [1, 3], [2, 2], [2, 3]])
    )
    assert truth.masks[0, 0, 0, 1, 2] == pytest.approx((128 + 255) / 510)
    assert truth.class_ids.tolist() == [[0, 1, -1]]
    assert truth.visible[0, :, 2].tolist() == truth.sounding[0, :, 2].tolist() == [0, 0]
    assert truth.level[0, :, 2].isnan().all()
    assert truth.ignore is None


def test_too_many_objects_leave_their_area_ignored():
    sample = clip(np.random.default_rng(0))
    batch = collate([sample, clip(np.random.default_rng(1), objects=1)], objects=1)
    assert batch.truth.class_ids.tolist() == [[0], [0]], "the larger one stays"
    ignore = batch.truth.ignore
    assert ignore[0, 0].sum() == 2
    assert ignore[0, 0, 3:5, 0].tolist() == [1, 1]
    assert not ignore[1].any()


def test_less_than_a_cell_is_unknown():
    sample = clip(np.random.default_rng(0))
    sample.masks[1, 1] = 0
    sample.masks[1, 1, 0, :15] = 255
    visible = collate([sample], objects=2).truth.visible[0]
    assert visible[0].tolist() == [1, 1]
    assert visible[1, 0] == 1
    assert visible[1, 1].isnan()


def test_without_sound_nothing_is_known_of_it():
    rng = np.random.default_rng(0)
    batch = collate([clip(rng, waveform=None), clip(rng)], objects=2)
    assert not batch.audio[0].any()
    assert batch.truth.sounding[0].isnan().all()
    assert batch.truth.heard[0].isnan().all()
    assert batch.truth.sounding[1].eq(1).all()


def test_unlike_clips_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="one shape"):
        collate([clip(rng), clip(rng, frames=3)], objects=2)


@given(
    start=st.integers(-20_000, 20_000),
    ends=st.lists(st.integers(-40_000, 60_000), min_size=1, max_size=4),
    length=st.integers(0, 20_000),
)
def test_windows_hold_the_sound_before_their_end(start, ends, length):
    waveform = np.arange(1, length + 1, dtype=np.float32)
    step = 62_500  # ns of one sample
    windows = audio_windows(waveform, start * step, np.array(ends) * step)
    for window, end in zip(windows, ends, strict=True):
        at = np.arange(end - 15_360, end) - start
        inside = (at >= 0) & (at < length)
        assert np.array_equal(window, np.where(inside, at + 1, 0))


def test_a_delay_shifts_the_sound_only():
    sample = clip(np.random.default_rng(0))
    now, late = (collate([sample], objects=2, delays_s=[d]) for d in (0, 0.1))
    assert torch.equal(late.audio[0, :, 1600:], now.audio[0, :, :-1600])
    assert torch.equal(late.frames, now.frames)
    assert torch.equal(late.times_s, now.times_s)


@pytest.mark.parametrize("workers", [0, 1])
def test_time_decides_which_stage_is_drawn(workers):
    asked = []

    def gone(steps):
        asked.append(steps)
        return 0.1 if len(asked) <= 2 else 0.9

    made = loader(workers=workers, gone=gone).batches(4)
    found = list(made)
    assert [b.frames.shape[1] for b in found] == [1] * 2 + [2] * 6, "from step 4 to the last"
    assert found[2].first and asked == [4, 5, 6, 9]
