"""A live engine whose cameras and clock are in a test's hand."""

from __future__ import annotations

from runtime_fakes import NS, FakeModel, ListSink, Tap, until

from streamavis.clock import ManualClock
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session

MS = 1_000_000


class Ears(ListSink):
    """Keeps what comes between pictures as well."""

    def notice(self, item):
        self.__dict__.setdefault("noticed", []).append(item)


class Rig:
    """An engine of streams that a test feeds; each result is asked for when it is due."""

    def __init__(self, *names: str, model=None, has_audio=False, sink=None, **options) -> None:
        self.clock = ManualClock(10 * NS)
        self.taps = {name: Tap(self.clock) for name in names}
        self.sinks = {name: sink or Ears(f"sink-{name}") for name in names}
        model = model or FakeModel()
        self.engine = Engine(
            [
                Feed(
                    self.taps[name],
                    Session(model, stream=name, has_audio=has_audio, clock=self.clock),
                    [self.sinks[name]],
                )
                for name in names
            ],
            Policy(live=True),
            clock=self.clock,
            **options,
        )
        self.results = self.engine.results()

    def one(self, name: str, **changes):
        """A frame of one stream, and its result."""
        self.taps[name].frame(**changes)
        result = next(self.results)
        assert result.stream == name
        return result

    def end(self):
        for tap in self.taps.values():
            tap.give(None)
        return list(self.results)

    def report(self, name: str):
        return self.engine.reports[name]


def assert_adds_up(report) -> None:
    assert report.captured == report.processed + sum(report.dropped.values()), report


def settled(rig: Rig) -> int:
    """Frames whose fate is known."""
    report = rig.report("cam")
    return report.processed + sum(report.dropped.values())


def see(rig: Rig, frames: int, *, step_ms: int = 100) -> list[int]:
    """Give frames one by one; which of them have a result (by number)."""
    answered = []
    for _ in range(frames):
        rig.clock.advance(step_ms * MS)
        number = rig.taps["cam"].index
        before = rig.report("cam").processed
        rig.taps["cam"].frame()
        until(lambda: settled(rig) > number)  # noqa: B023
        if rig.report("cam").processed > before:
            answered.append(number)
    return answered
