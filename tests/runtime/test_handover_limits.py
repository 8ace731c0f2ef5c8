"""Bytes of a session that contradict themselves are refused at the door, not at a later frame."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from handover_child import follow
from runtime_fakes import FakeModel, clip

from streamavis.clock import ManualClock
from streamavis.errors import StreamStateError
from streamavis.runtime import handover
from streamavis.runtime.handover import Array
from streamavis.session import Session

sys.path.append(str(Path(__file__).parents[1] / "model"))
from tiny import network

NAN, INF = float("nan"), float("inf")
NUMBERS = {
    "stream": ["../../etc", "", "a b", "x" * 65, "\x1b[2J"],
    "audio_delay_s": [NAN, INF, -1.0, 61.0],
    "max_tracks": [1_025, 1 << 62],
    "period_ns": [-1, (1 << 64) - 1],
    "gaps_ns": [[-1], [1 << 63], [0] * 6],
    "epoch": [-1, 1 << 63],
    "last_time_ns": [1 << 63, -(1 << 63)],
    "next_seq": [-1, (1 << 63) - 1],
    "seq_shift": [-1, 1 << 63],
    "heard_until_ns": [1 << 63],
}
SETTINGS = {
    "n_init": [0, -1, 1 << 40],
    "max_lost_s": [NAN, -1.0, INF],
    "max_tracks": [0, -1, 1 << 40],
    "temperature": [0.0, NAN],
    "score_on": [NAN, INF],
}
COLUMNS = {
    "slots": ([3, -1], "a slot outside -1 to 2"),
    "slots far": ([116, 0], "a slot outside"),
    "slots low": ([-2, 0], "a slot outside"),
    "slots twice": ([1, 1], "one slot bound to two tracks"),
    "ids": ([-1, 1], "a track id below 0"),
    "ids ahead": ([1, 99], "not below next_id"),
    "ids twice": ([1, 1], "one track id in two rows"),
    "hits": ([0, 5], "a count of hits outside 0 to n_init 2"),
    "last_seen_s": ([0.0, 1e9], "seen at no time up to the latest frame"),
    "last_seen_s nan": ([0.0, NAN], "seen at no time"),
    "strength": ([0.0, 1.5], "outside 0 to 1"),
    "strength nan": ([NAN, 0.0], "outside 0 to 1"),
    "in_view": ([2, 1], "neither true nor false"),
    "next_id": (0, "next_id 0"),
}


def moved(data, model=None):
    return Session.from_bytes(data, model or FakeModel(), clock=ManualClock(0))


@pytest.fixture(scope="module")
def saved():
    here = Session(FakeModel(), stream="cam", clock=ManualClock(0))
    follow(here, clip(5))
    return handover.decode(here.to_bytes())


def refused(saved, match, model=None, **changes):
    with pytest.raises(StreamStateError, match=match):
        moved(handover.encode(msgspec.structs.replace(saved, **changes)), model)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in NUMBERS.items() for v in vs])
def test_a_number_out_of_range_is_refused(name, value, saved):
    refused(saved, name, **{name: value})


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in SETTINGS.items() for v in vs])
def test_a_track_setting_out_of_range_is_refused(name, value, saved):
    values = {
        f: getattr(saved.track_config, f) for f in type(saved.track_config).__dataclass_fields__
    }
    refused(saved, name, track_config=type(saved.track_config)(**values | {name: value}))


@pytest.mark.parametrize("case", COLUMNS)
def test_tracks_that_contradict_themselves_are_refused(case, saved):
    values, match = COLUMNS[case]
    name = case.partition(" ")[0]
    column = saved.tracks[name]
    dtype = "uint8" if column.dtype == "bool" else column.dtype
    data = np.array(values, dtype).tobytes()
    assert len(data) == len(column.data)
    refused(saved, match, tracks=saved.tracks | {name: Array(column.dtype, column.shape, data)})


def test_more_tracks_than_the_book_holds_are_refused(saved):
    small = type(saved.track_config)(max_tracks=1)
    refused(saved, "2 tracks, but its book holds 1", track_config=small)


def test_tracks_before_any_frame_are_refused(saved):
    refused(saved, "latest frame", last_time_ns=None)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"samples": np.full(160_000, NAN, np.float32).tobytes()}, "NaN or infinite"),
        ({"origin": None}, "begins at sample None"),
        ({"origin": 1 << 40}, "but ends at"),
        ({"head": 1 << 63}, "audio ring begins"),
        ({"gaps": [(0, 1 << 62)]}, "is not between"),
        ({"gaps": [(5, 1)]}, "is not between"),
        ({"gaps": [(10, 20), (15, 30)]}, "is not between"),
    ],
)
def test_a_ring_of_sound_that_contradicts_itself_is_refused(changes, match, saved):
    ring = msgspec.msgpack.decode(saved.ring) | changes
    refused(saved, match, ring=msgspec.msgpack.encode(ring))


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (-5, -3, "written is"),
        (-5, 1 << 60, "beyond its seen"),
        (-4, -1, "beyond its seen|seen is"),
        (-3, 1e9, "beyond its last_s"),
        (-2, NAN, "NaN or infinity"),
        (-1, -1, "last_tick is"),
        (0, INF, "tensor 0 of the model's past holds NaN or infinity"),
    ],
)
def test_a_past_that_no_network_has_is_refused(place, value, match):
    """A negative count of written frames ended in an IndexError at the next frame."""
    model = network()
    here = Session(model, stream="cam", clock=ManualClock(0))
    follow(here, clip(3))
    good = handover.decode(here.to_bytes())
    kept = good.model[place]
    values = np.frombuffer(kept.data, kept.dtype).copy()
    values[0] = value
    tensors = list(good.model)
    tensors[place] = Array(kept.dtype, kept.shape, values.tobytes())
    with pytest.raises(StreamStateError, match=match):
        moved(handover.encode(msgspec.structs.replace(good, model=tensors)), model)
