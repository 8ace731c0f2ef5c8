"""Bounds on what other parties choose: lines, rates, connections, descriptors."""

from __future__ import annotations

import resource

from streamavis.limits import RESERVED_DESCRIPTORS, LogLimiter, Places, RateLimit, scarce


class Ticks:
    """A clock set by hand."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_one_line_a_minute_and_kind_and_the_next_counts_the_rest():
    clock, lines = Ticks(), []
    log = LogLimiter(lines.append, clock)
    for number in range(1_000):
        log.tell("refused", f"refused {number}")
    log.tell("full", "no room")
    assert lines == ["refused 0", "no room"]
    clock.now_ns = 61_000_000_000
    log.tell("refused", "refused again")
    assert lines[2:] == ["refused again (999 more of this kind)"]


def test_a_flood_of_kinds_shares_one_kind_and_hides_no_other_group():
    clock, lines = Ticks(), []
    log = LogLimiter(lines.append, clock, max_kinds=8)
    for number in range(10_000):
        log.tell(("wrong key", number), f"a peer {number}")
    assert len(lines) == 9
    log.tell(("full", "a"), "no room")
    log.tell(("wrong key", "robot1"), "robot1 is revoked", known=True)
    assert lines[-2] == "no room"
    assert lines[-1].startswith("robot1 is revoked")
    assert len(log._told_ns) == 11
    clock.now_ns = 61_000_000_000
    log.tell("anything", "later")
    assert len(log._told_ns) == 1
    assert sum(log._kinds.values()) == 1


def test_a_pace_allows_a_burst_and_then_a_rate():
    clock = Ticks()
    pace = RateLimit(20, 5, clock)
    assert [pace.take() for _ in range(7)] == [True] * 5 + [False] * 2
    assert pace.wait_s() == 1 / 20
    allowed = 0
    for clock.now_ns in range(0, 10_000_000_000, 1_000_000):
        allowed += pace.take()
    assert 198 <= allowed <= 201


def test_a_cost_above_the_burst_waits_for_a_full_bucket():
    clock = Ticks()
    pace = RateLimit(10, 5, clock)
    assert pace.take(50)
    assert pace.wait_s() == (1 + 45) / 10
    clock.now_ns = 4_000_000_000
    assert not pace.take(50)
    clock.now_ns = 5_000_000_000
    assert pace.take(50)


def test_silent_connections_leave_for_new_ones_and_clients_stay():
    places = Places(new=8, new_each=4, proven=3, proven_each=2)
    assert places.take("robot", "a") == []
    assert places.prove("robot")
    gone = [key for number in range(100) for key in places.take(number, "a")]
    assert gone == list(range(96))
    assert places.take("late", "a") == [96]
    assert places.prove("late")
    assert "robot" in places
    assert len(places) == 5


def test_clients_have_a_number_by_address_and_in_all():
    places = Places(new=8, new_each=4, proven=3, proven_each=2)
    told = {}
    for key, address in (("1", "a"), ("2", "a"), ("3", "a"), ("4", "b"), ("5", "c")):
        places.take(key, address)
        told[key] = places.prove(key)
    assert told == {"1": True, "2": True, "3": False, "4": True, "5": False}
    places.leave("1")
    places.take("6", "c")
    assert places.prove("6")


def test_many_addresses_share_the_places_of_new_connections():
    places = Places(new=8, new_each=4, proven=3, proven_each=2)
    for number in range(1_000):
        places.take(number, str(number))
    assert len(places) == 8


def test_a_descriptor_near_the_limit_is_scarce(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 4_096))
    assert not scarce(199 - RESERVED_DESCRIPTORS)
    assert scarce(200 - RESERVED_DESCRIPTORS)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert not scarce(10**6)
