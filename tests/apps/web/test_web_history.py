"""The last minute as a reloaded page gets it, and a replay as viewers steer it."""

import threading

import pytest
from runtime_fakes import CLASSES
from streamavis_apps.web.history import History
from streamavis_apps.web.playback import Playback
from streamavis_apps.web.settings import Settings
from web_rig import shot, track

RED = track(1, (10, 10, 40, 30), sounding=0.9)
GREEN = track(2, (100, 50, 30, 30), label=CLASSES[1], sounding=None)


def seen(history, *seqs, tracks=(RED, GREEN), boot_id="boot"):
    for seq in seqs:
        history.see(shot(seq, *tracks, boot_id=boot_id)[1], -20.0)
    return history


def test_a_minute_is_kept_and_no_more():
    told = seen(History(), *range(1, 1200)).told(Settings())
    times = [time_s for time_s, _, _ in told["moments"]]
    assert times[-1] == 119.9
    assert 59 < times[-1] - times[0] <= 60
    assert told["moments"][0][1:] == (-20.0, [(1, 0.9), (2, None)])
    assert told["tracks"]["1"]["label"] == "red thing"


def test_what_is_hidden_stays_hidden():
    history = seen(History(), 1)
    told = history.told(Settings(hidden=("red thing",)))
    assert list(told["tracks"]) == ["2"]
    assert history.told(Settings(score_from=0.95))["tracks"] == {}


@pytest.mark.parametrize("change", [{"boot_id": "other"}, {}])
def test_another_run_or_an_earlier_time_begins_anew(change):
    history = seen(History(), 50, 51)
    told = seen(history, 3, **change).told(Settings())
    assert [time_s for time_s, _, _ in told["moments"]] == [0.3]


def test_nothing_is_told_of_nothing_and_after_forgetting():
    history = History()
    assert history.told(Settings()) is None
    seen(history, 1).forget()
    assert history.told(Settings()) is None


def test_a_place_is_kept_within_the_recording_and_interrupts_the_pass():
    playback, stopped = Playback(10.0, seekable=True), threading.Event()
    playback.running(stopped.set)
    assert playback.go(99.0) and stopped.is_set() and playback.pending
    assert playback.next(ended=False, wait_s=0) == 10.0
    assert not playback.pending
    assert playback.next(ended=True, wait_s=0) is None


def test_a_wish_that_comes_before_the_pass_is_not_lost():
    playback, stopped = Playback(10.0, seekable=True), threading.Event()
    playback.go(3.0)
    playback.running(stopped.set)
    assert stopped.is_set()
    assert playback.next(ended=False, wait_s=0) == 3.0


def test_no_place_can_be_chosen_while_outputs_are_written():
    playback, told = Playback(10.0, seekable=False), []
    playback.follow(lambda: told.append(playback.told()))
    assert not playback.go(3.0) and not playback.pending
    playback.allow()
    assert told == [{"duration_s": 10.0, "seekable": True, "loop": False}]
    assert playback.go(3.0)


def test_a_loop_begins_anew_at_the_end_only():
    playback = Playback(None, seekable=True)
    playback.set_loop(True)
    assert playback.next(ended=False, wait_s=0) is None
    assert playback.next(ended=True, wait_s=0) == 0.0
    playback.go(4.0)
    assert playback.next(ended=True, wait_s=0) == 4.0
