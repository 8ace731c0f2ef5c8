"""Who moves, who waits, who is stuck; what happened is kept and logged."""

from __future__ import annotations

import logging

from runtime_fakes import NS

from streamavis.clock import ManualClock
from streamavis.runtime.heartbeat import Heartbeats
from streamavis.runtime.journal import Journal
from streamavis.status import Pulse


def test_to_work_long_is_to_be_stuck_and_to_wait_is_not():
    clock = ManualClock()
    hearts = Heartbeats(clock)
    hearts.beat("sink record", "working")
    hearts.beat("source cam", "waiting")
    clock.advance(10 * NS)
    assert hearts.news() == []
    clock.advance(NS)
    assert hearts.pulses == {
        "sink record": Pulse("working", 11.0),
        "source cam": Pulse("waiting", 11.0),
    }
    assert hearts.news() == ["sink record has not moved for 11 s"]
    assert hearts.news() == [], "once"
    hearts.beat("sink record", "waiting")
    assert hearts.news() == ["sink record moves again"]


def test_a_journal_keeps_the_newest_and_logs_all(caplog):
    clock = ManualClock(5)
    journal = Journal("cam", clock)
    with caplog.at_level(logging.INFO):
        for n in range(40):
            clock.advance(1)
            journal.note("load", f"step {n}", level=logging.INFO)
    assert [notice.number for notice in journal.notices] == list(range(25, 41))
    assert journal.notices[-1].time_ns == 45
    assert journal.notices[-1].text == "step 39"
    assert len(caplog.records) == 40
    assert caplog.records[0].getMessage() == "cam: load: step 0"


def test_of_what_a_source_causes_a_journal_logs_a_line_a_minute_and_kind(caplog):
    clock = ManualClock(5)
    journal = Journal("cam", clock)
    for n in range(1_000):
        clock.advance(30_000_000)
        journal.note("source", f"frame {n} is left out: it is damaged")
    journal.note("source", "rtsp://h/s: reconnecting")
    assert len(caplog.records) == 2
    clock.advance(61_000_000_000)
    journal.note("source", "frame 1000 is left out: it is damaged")
    assert caplog.records[1].getMessage().endswith("reconnecting (999 more of this kind)")
    assert caplog.records[2].getMessage().endswith("frame 1000 is left out: it is damaged")
    assert len(journal.notices) == 16
