"""A short run of the fuzzer of media; `make fuzz-media N=10000` is the long one."""

from __future__ import annotations

from fuzz_items import item
from fuzz_media import Findings, _watch, fuzz, tried


def test_generated_media_neither_crash_nor_hang_nor_raise_what_is_not_ours():
    found = fuzz(first=1_000_000, count=300, seconds=12)
    assert found.failures == []


def test_an_item_is_the_same_each_time_it_is_made():
    assert [item(n) for n in range(3)] == [item(n) for n in range(3)]


def test_the_fuzzer_notices_an_error_that_is_not_ours(monkeypatch):
    def broken(path):
        raise RuntimeError("a bug")

    monkeypatch.setattr("fuzz_media._read_and_record", broken)
    assert tried(0).startswith("FAILED RuntimeError: 'a bug' at test_fuzz_media.py")


class Worker:
    """A process that says its lines and dies."""

    def __init__(self, code: int, *lines: str) -> None:
        self.stdout, self._code = [f"{line}\n" for line in lines], code

    def wait(self) -> int:
        return self._code


def test_the_fuzzer_notices_a_process_that_dies():
    found = Findings(next_item=7)
    _watch(Worker(-11, "item a", "ok", "item b"), found, float("inf"), lambda findings: None)
    assert found.failures == ["item 8: crash (-11): b"]
    assert found.next_item == 9
    fine = Findings()
    _watch(Worker(0, "item a", "ok"), fine, float("inf"), lambda findings: None)
    assert (fine.items, fine.failures) == (1, [])
