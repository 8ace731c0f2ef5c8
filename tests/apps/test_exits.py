"""Exit codes, one-line errors, signals."""

import os
import signal

import pytest
from streamavis_apps.exits import ExitCode, describe, exit_code_of, stop_on_signals

from streamavis.errors import CheckpointError, InputError, TruncatedInputError


def test_our_errors_become_one_line():
    assert describe(InputError("a.mp4: no picture\n  in it")) == "a.mp4: no picture in it"


def test_a_missing_engine_package_names_its_extra():
    line = describe(ModuleNotFoundError("No module named 'av'", name="av"))
    assert line == "av is not installed; install it with: pip install 'streamavis[engine]'"


def test_missing_benchmarks_say_that_a_clone_has_them():
    module = "streamavis_benchmarks.pipeline"
    line = describe(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert line is not None
    assert line.startswith("benchmarks come with a clone of the repository, not with the wheel")


def test_system_errors_name_the_file():
    assert describe(PermissionError(13, "Permission denied", "out.jsonl")) == (
        "out.jsonl: Permission denied"
    )


@pytest.mark.parametrize(
    "bug", [ValueError("x"), KeyError("y"), ModuleNotFoundError("z", name="streamavis.x")]
)
def test_bugs_are_not_disguised_as_user_errors(bug):
    assert describe(bug) is None


def test_exit_codes_tell_truncation_and_interruption_apart():
    assert exit_code_of(CheckpointError("x")) is ExitCode.FAILED
    assert exit_code_of(TruncatedInputError("x")) is ExitCode.TRUNCATED
    assert exit_code_of(KeyboardInterrupt()) is ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.DONE), (signal.SIGINT, ExitCode.INTERRUPTED)],
)
def test_a_signal_asks_to_stop_and_handlers_come_back(number, code):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.event.is_set()
        os.kill(os.getpid(), number)
        assert stop.event.wait(60)
    assert stop.exit_code is code
    assert signal.getsignal(number) is before


def test_a_second_interrupt_insists():
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.event.wait(60)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
