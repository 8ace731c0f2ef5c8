"""A short run of the fuzzer of media; `make fuzz-media N=10000` is the long one."""

from __future__ import annotations

import os
import threading

import pytest
from fuzz_items import item
from fuzz_media import NOT_MADE, fuzz, tried
from fuzz_worker import Died, Worker


def test_generated_media_neither_crash_nor_hang_nor_raise_what_is_not_ours():
    found = fuzz(first=1_000_000, count=60, seconds=6)
    assert found.failures == []
    assert len(found.not_made) <= found.items // 10


def test_an_item_is_the_same_each_time_it_is_made():
    assert [item(n) for n in range(3)] == [item(n) for n in range(3)]


def test_the_fuzzer_notices_an_error_that_is_not_ours(monkeypatch, tmp_path):
    def broken(path, out):
        raise RuntimeError("a bug")

    monkeypatch.setattr("fuzz_media._read_and_record", broken)
    word, reason, _ = tried(tmp_path / "item")
    assert (word, reason.partition(" at ")[0]) == ("FAILED", "RuntimeError: 'a bug'")


def answer(question: object) -> object:
    """In the worker."""
    if question == "abort":
        os.abort()
    if question == "exit":
        os._exit(3)
    if question == "hang":
        threading.Event().wait()
    return os.getpid()


def test_a_process_that_dies_is_named_and_replaced():
    with Worker(answer, limit_s=60, quiet=True) as worker:
        first = worker.ask("pid")
        assert worker.ask("pid") == first != os.getpid()
        with pytest.raises(Died, match="SIGABRT"):
            worker.ask("abort")
        assert worker.ask("pid") != first
        with pytest.raises(Died, match="exit code 3"):
            worker.ask("exit")


def test_a_process_that_hangs_is_ended():
    with (
        Worker(answer, limit_s=0.1, quiet=True) as worker,
        pytest.raises(Died, match="no answer in"),
    ):
        worker.ask("hang")


class Dead:
    """A worker whose process always dies."""

    def __init__(self, function, limit_s, quiet=False):
        self._name = function.__name__

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        pass

    def ask(self, question):
        if self._name in self.dies:
            raise Died("crash (SIGSEGV)")
        return "a kind" if self._name == "make" else ("ok", "", 0.0)


@pytest.mark.parametrize("dies", ["make", "tried"])
def test_a_death_while_writing_is_counted_and_one_while_reading_is_a_failure(monkeypatch, dies):
    monkeypatch.setattr(Dead, "dies", dies, raising=False)
    monkeypatch.setattr("fuzz_media.Worker", Dead)
    found = fuzz(first=7, count=2)
    assert found.items == 2
    if dies == "make":
        assert found.not_made[0] == f"item 7: {NOT_MADE}: crash (SIGSEGV)"
        assert found.failures == []
    else:
        assert found.failures[1] == "item 8: crash (SIGSEGV): a kind"
        assert found.not_made == []
