"""Which picture a result is of: on simulated networks and engines, and what does not add up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamavis_benchmarks.live.latency import latency_figures, missed_latency
from streamavis_benchmarks.live.match import Arrival, Matched, account_for, match
from streamavis_benchmarks.rigs import Departure

from streamavis.errors import InputError

MS = 1_000_000
PERIOD = 100 * MS


def arrival(seq, captured_ns, outside_ms=10.0, model_ms=40.0):
    """A result; what is outside the model is half before it, half behind it."""
    begun_ns = captured_ns + round(outside_ms / 2 * MS)
    done_ns = begun_ns + round(model_ms * MS)
    sent_ns = done_ns + MS
    return Arrival(
        seq, captured_ns, begun_ns, done_ns, sent_ns, done_ns + round(outside_ms / 2 * MS)
    )


@st.composite
def worlds(draw):
    """Pictures that left, those that arrived in order, those with a result; and the truth.

    Every connection is cut at some picture; each arrival takes up to three periods, but one of
    a connection's results less than one.
    """
    departures, arrivals, truth, now, seq = [], [], [], 0, 0
    early = draw(st.integers(0, 3))  # dropped before the engine began
    for connection in range(1, 1 + draw(st.integers(1, 4))):
        now += draw(st.integers(1, 50)) * PERIOD
        sent = [Departure(connection, n, now + n * PERIOD) for n in range(draw(st.integers(4, 12)))]
        reached = draw(st.integers(4, len(sent)))
        quick = draw(st.integers(early if connection == 1 else 0, reached - 1))
        last = 0
        for departure in sent[:reached]:
            most = 3 * PERIOD
            if departure.number <= quick:  # what comes before it must not hold it up
                before = quick - departure.number
                most = min(most, (before + 1) * PERIOD - 1 - before)
            last = max(departure.left_ns + draw(st.integers(0, most)), last + 1)
            if seq >= early and (departure.number == quick or draw(st.booleans())):
                arrivals.append(arrival(seq, last))
                truth.append(departure)
            seq += 1
        now = max(last, sent[-1].left_ns) + 1
        departures += sent
    return departures, arrivals, truth, early


@given(worlds())
def test_every_result_is_matched_to_its_picture(world):
    departures, arrivals, truth, early = world
    matched = match(departures, arrivals)
    assert [m.departure for m in matched] == truth
    assert [m.arrival for m in matched] == arrivals
    results = len(arrivals)
    # The pictures after the last result arrived as well, where the camera rested at the end.
    tail = sum(d.connection == truth[-1].connection and d.number > truth[-1].number
               for d in departures)  # fmt: skip
    captured = arrivals[-1].seq + 1 + tail - early
    account = account_for(
        departures, matched, captured=captured, processed=results,
        dropped={"superseded": captured - results},
    )  # fmt: skip
    assert account.adds_up
    assert account.early == early
    assert account.left == len(departures) == early + captured + account.on_the_way
    assert not replace(account, left=account.left + 1).adds_up
    assert not replace(account, captured=captured - 1).adds_up
    assert not replace(account, processed=results + 1).adds_up


def steady(count=20):
    sent = [Departure(1, n, n * PERIOD) for n in range(count)]
    return sent, [arrival(n, n * PERIOD + MS) for n in range(count)]


def test_a_picture_that_never_arrived_is_noticed():
    sent, results = steady()
    lost = [result._replace(seq=result.seq - 1) for result in results[1:]]  # the first one was lost
    matched = match(sent, lost)
    assert [m.departure.number for m in matched] == list(range(1, 20))
    account = account_for(sent, matched, captured=19, processed=19, dropped={})
    assert not account.adds_up, "20 left, 19 arrived, no connection was cut"


def test_a_result_that_got_lost_on_the_wire_is_noticed():
    sent, results = steady()
    matched = match(sent, results[:7] + results[8:])
    account = account_for(sent, matched, captured=20, processed=20, dropped={})
    assert account.missed == 1
    assert not account.adds_up, "a gap that no drop explains"


def test_what_contradicts_itself_is_refused():
    sent, results = steady()
    with pytest.raises(InputError, match="before any picture left"):
        match(sent, [results[0]._replace(captured_ns=-1)])
    with pytest.raises(InputError, match="would be of picture"):
        match(sent, [results[0]._replace(seq=5), results[19]._replace(seq=40)])
    with pytest.raises(InputError, match="no result"):
        account_for(sent, [], captured=0, processed=0, dropped={})


def series(outside_ms, model_ms):
    """Results that took so long, one after the other."""
    return [
        Matched(Departure(1, n, n * PERIOD), arrival(n, n * PERIOD, o, m))
        for n, (o, m) in enumerate(zip(outside_ms, model_ms, strict=True))
    ]


def test_latency_is_reported_apart_from_the_model_s_and_held_to_its_goal():
    figures = latency_figures(series([10.0] * 90, [40.0] * 80 + [80.0] * 10))
    assert figures["total_ms"]["p50"] == 50.0
    assert figures["total_ms"]["max"] == 90.0
    assert figures["model_ms"]["p95"] == 80.0
    assert figures["outside_ms"]["p99"] == 10.0
    parts = figures["parts_p50_by_thirds_ms"]
    assert parts["to the model"] == [5.0] * 3
    assert parts["masks and tracks"] == [1.0] * 3
    assert parts["to the robot"] == [4.0] * 3
    assert sum(thirds[0] for thirds in parts.values()) == 50.0
    assert missed_latency(figures) == []
    late = latency_figures(series([10.0] * 80 + [71.0] * 10, [40.0] * 90))
    assert "goal +60" in missed_latency(late)[0]
    growing = latency_figures(series([5.0 + n / 10 for n in range(90)], [40.0] * 90))
    assert any("grows" in sentence for sentence in missed_latency(growing))
    few = latency_figures(series([1.0], [1000.0]))
    assert few == {"results": 1}
    assert missed_latency(few) == []
