"""What follows a failure of the model, by count and time alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamavis.runtime.model_supervisor import MAX_REBUILDS, ModelSupervisor, Remedy

S = 1_000_000_000


def fail(supervisor: ModelSupervisor, *times_s: float) -> list[Remedy]:
    return [supervisor.failed(round(t * S)) for t in times_s]


def test_a_failure_costs_one_frame_and_three_in_ten_seconds_the_state():
    supervisor = ModelSupervisor()
    assert fail(supervisor, 0, 5, 10) == [Remedy.SKIP, Remedy.SKIP, Remedy.REBUILD]
    assert fail(supervisor, 11, 16, 22) == [Remedy.SKIP] * 3, "11 s are not 10"
    assert fail(supervisor, 22.1) == [Remedy.REBUILD]


def test_the_sixth_rebuild_in_a_minute_is_refused_and_the_model_tried_slowly():
    supervisor = ModelSupervisor()
    remedies = fail(supervisor, *(0.1 * n for n in range(18)))
    assert remedies[2::3] == [Remedy.REBUILD] * MAX_REBUILDS + [Remedy.GIVE_UP]
    assert supervisor.given_up
    last = round(1.7 * S)
    assert not supervisor.may_try(last + 4 * S)
    assert supervisor.may_try(last + 5 * S)
    assert supervisor.failed(last + 5 * S) is Remedy.REBUILD
    assert not supervisor.may_try(last + 9 * S)
    assert supervisor.may_try(last + 10 * S)
    assert supervisor.succeeded(), "news"
    assert not supervisor.succeeded()
    assert supervisor.may_try(last + 10 * S)
    assert fail(supervisor, 12) == [Remedy.SKIP], "a clean slate"


def test_rebuilds_that_are_spread_out_never_end():
    supervisor = ModelSupervisor()
    for minute in range(100):
        start = 13.0 * minute
        remedies = fail(supervisor, start, start + 0.1, start + 0.2)
        assert remedies == [Remedy.SKIP, Remedy.SKIP, Remedy.REBUILD]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=200))
def test_no_more_than_five_rebuilds_in_any_minute_before_giving_up(waits):
    supervisor, now, rebuilt = ModelSupervisor(), 0.0, []
    for wait in waits:
        now += wait
        given_up = supervisor.given_up
        if not supervisor.may_try(round(now * S)):
            continue
        if supervisor.failed(round(now * S)) is Remedy.REBUILD and not given_up:
            rebuilt.append(now)
    assert all(sum(t - 60 < other <= t for other in rebuilt) <= MAX_REBUILDS for t in rebuilt)
