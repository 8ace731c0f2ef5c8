"""Who sounds and since when, and the panel that shows it."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from streamavis_apps.results.board import Board, sounding_names
from streamavis_apps.results.tables import board_panel

from streamavis.types import FrameResult, Rle, SoundBearing, Track
from streamavis.wire import Age

SECOND = 1_000_000_000


def track(id, label="bell", sounding=0.1):
    box, rle = (12, 8, 64, 60), Rle((180, 320), "")
    return Track(id, label, 0, 0.91, sounding, 0.9, box, (44.0, 38.0), 3000, rle)


def result(seq, *tracks, audio="ok", **fields):
    first = FrameResult("cam", 0, 0, 0, (180, 320), "ok", 0.0, "ok", "pts", [])
    return replace(
        first, seq=seq, capture_time_ns=seq * SECOND, audio=audio, tracks=list(tracks), **fields
    )


def panel(board, columns=80, **console):
    out = io.StringIO()
    drawn = board_panel(
        board, title="cam at tcp://h:1", age=Age(0.0421, exact=True), columns=columns
    )
    Console(file=out, width=columns, **console).print(drawn)
    return out.getvalue()


def test_onsets_and_offsets_are_told_once():
    board = Board()
    said = [
        board.update(result(seq, track(3, sounding=level)), seq * SECOND)
        for seq, level in enumerate([0.1, 0.9, 0.8, 0.2, 0.1])
    ]
    assert said == [[], ["bell 3 sounds (90 %)"], [], ["bell 3 falls silent"], []]


def test_since_counts_stream_time_from_the_last_change():
    board = Board()
    for seq, level in enumerate([0.1, 0.9, 0.9, 0.9]):
        board.update(result(seq, track(3, sounding=level)), 0)
    assert board.since_s(board.result.tracks[0]) == 2.0


def test_a_sounding_track_that_leaves_is_told_a_silent_one_not():
    board = Board()
    board.update(result(0, track(1, sounding=0.9), track(2)), 0)
    assert board.update(result(1), SECOND) == ["bell 1 has left"]


def test_gaps_in_seq_are_missed_frames_and_a_new_epoch_is_not():
    board = Board()
    for seq in (0, 1, 4):
        board.update(result(seq), seq)
    assert (board.missed, board.frames) == (2, 3)
    assert board.update(result(90, epoch=1), 5) == ["the stream starts anew"]
    assert board.missed == 2


def test_lost_sound_is_told_and_makes_sounding_unknown():
    board = Board()
    board.update(result(0, track(1, sounding=0.9)), 0)
    lost = result(1, track(1, sounding=None), audio="lost")
    assert board.update(lost, SECOND) == ["audio lost"]
    assert sounding_names(lost) == "unknown (microphone lost)"
    assert board.update(result(2, track(1, sounding=0.9)), 2 * SECOND) == [
        "audio ok",
        "bell 1 sounds (90 %)",
    ]


def test_rate_is_counted_over_arrivals():
    board = Board()
    assert board.fps is None
    for seq in range(100):
        board.update(result(seq), seq * SECOND // 20)
    assert board.fps == pytest.approx(20)


def test_the_panel_shows_who_sounds_and_the_health_of_the_stream():
    board = Board()
    for seq in (0, 1, 3):
        board.update(result(seq, track(3, "frog", 0.87), track(4)), seq * SECOND)
    text = panel(board)
    assert "Now sounding: frog 3" in text
    assert "12    8   64   60" in text
    for part in ("audio ok", "video ok", "age 42 ms", "1 missed", "87 %", "3.0 s"):
        assert part in text


@pytest.mark.parametrize("columns", [30, 44, 60, 80, 200])
def test_the_panel_fits_any_terminal(columns):
    board = Board()
    board.update(result(0, *(track(n, "a very long label " * 3) for n in range(9))), 0)
    assert all(len(line) <= columns for line in panel(board, columns).splitlines())


def test_the_panel_keeps_its_height_while_objects_come_and_go():
    board = Board()
    board.update(result(0), 0)
    empty = panel(board).count("\n")
    board.update(result(1, *(track(n) for n in range(4))), SECOND)
    assert panel(board).count("\n") == empty


def test_bearings_stand_in_place_of_boxes_and_the_sounds_direction_beside_who_sounds():
    board = Board()
    known = replace(track(3, sounding=0.9), bearing=(21.4, -3.2), bearing_agrees=True)
    sound = SoundBearing(0, -24.3, 0.9)
    board.update(result(0, known, track(4), sound_bearing=sound), 0)
    shown = panel(board)
    assert "Now sounding: bell 3  sound from 24° left" in shown
    assert "+21° -3°" in shown
    assert "right, up" in shown
    assert "box x y w h" not in shown
    board.update(result(1, track(3)), 0)
    assert "box x y w h" in panel(board)
    assert "sound from" not in panel(board)
