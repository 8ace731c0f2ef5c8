"""Every captured frame is processed, dropped under one cause, or unfinished."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamavis.runtime.ledger import DropCause, FrameLedger


@given(st.lists(st.sampled_from(["capture", "process", "drop", "refuse"]), max_size=60))
def test_frames_add_up_and_what_is_unfinished_at_the_end_has_failed(steps):
    ledger, captured, at_work, refused = FrameLedger(), 0, 0, 0
    for step in steps:
        if step == "capture":
            captured, at_work = captured + 1, at_work + 1
            assert ledger.capture() == captured
        elif step == "refuse":
            captured, refused = captured + 1, refused + 1
            ledger.refuse(DropCause.CANCELLED)
        elif at_work:
            at_work -= 1
            if step == "process":
                ledger.process()
            else:
                ledger.drop(DropCause.STALE)
    counts = ledger.counts
    assert (counts.captured, counts.unfinished) == (captured, at_work)
    assert counts.dropped[DropCause.CANCELLED] == refused
    ledger.close()
    assert ledger.counts.unfinished == 0
    assert ledger.counts.dropped[DropCause.FAILED] == at_work
    assert counts.dropped[DropCause.FAILED] == 0, "a copy does not change"
