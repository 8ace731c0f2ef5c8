import pytest

from streamavis.io.live.delay import DelayMeter

MS = 1_000_000


def after(ages_ms, meter=None):
    meter = meter or DelayMeter()
    for number, age in enumerate(ages_ms):
        meter.observe(number * 10 * MS, number * 10 * MS + round(age * MS))
    return meter


@pytest.mark.parametrize(
    ("age_ms", "delay_s"), [(0.5, 0.0), (9, 0.01), (12, 0.02), (31.8, 0.04), (300, 0.06)]
)
def test_the_delay_is_the_age_rounded_up_to_a_hop_and_bounded(age_ms, delay_s):
    assert after([age_ms] * 200).delay_s == delay_s
    assert after([age_ms] * 200).measured_s == pytest.approx(age_ms / 1000)


def test_one_late_chunk_in_twenty_is_not_waited_for():
    assert after(([12.0] * 24 + [80.0]) * 30).delay_s == 0.02


def test_it_does_not_swing_around_the_edge_of_a_hop():
    meter, seen = DelayMeter(), set()
    for number in range(4000):
        age = 20 * MS + (number // 300 % 2 * 2 - 1) * MS // 2  # 19.5 or 20.5 ms
        meter.observe(number * 10 * MS, number * 10 * MS + age)
        if number > 300:
            seen.add(meter.delay_s)
    assert len(seen) == 1


def test_it_follows_what_changes():
    meter = after([12.0] * 600)
    after([45.0] * 600, meter)
    assert meter.delay_s == 0.05
    after([3.0] * 600, meter)
    assert meter.delay_s == 0.01


def test_a_stream_may_be_later_than_a_microphone():
    assert after([150.7] * 200, DelayMeter(0.2)).delay_s == 0.15
    assert after([300.0] * 200, DelayMeter(0.2)).delay_s == 0.2
