"""What `streamavis doctor` finds, says and returns when pieces are missing."""

import io
import sys

import pytest
from rich.console import Console
from streamavis_apps.exits import ExitCode
from streamavis_apps.setup import checks
from streamavis_apps.setup.checks import Check, State
from streamavis_apps.setup.doctor import run


def report(*found):
    out = io.StringIO()
    code = run(found, Console(file=out, width=100))
    return code, out.getvalue()


def by_name(found):
    return {check.name: check for check in found}


def test_nothing_missing_ends_with_success():
    code, text = report(Check("packages", "torch", "2.13.0"), Check("devices", "GPU", "H200"))
    assert code is ExitCode.DONE
    assert "The engine can run here." in text
    assert "Needed" not in text


def test_an_optional_part_does_not_fail_but_names_its_cure():
    cure = "sudo apt-get install libportaudio2"
    code, text = report(Check("packages", "sounddevice", "does not load", State.LACKS, cure))
    assert code is ExitCode.DONE
    assert text.endswith(f"Optional\n  {cure}\n")


def test_a_needed_part_fails_and_each_cure_is_said_once():
    cure = "pip install 'streamavis[engine]'"
    missing = [Check("packages", name, "not installed", State.BROKEN, cure) for name in "ab"]
    code, text = report(*missing)
    assert code is ExitCode.FAILED
    assert "The engine cannot run here: a, b" in text
    assert text.count(cure) == 1


def test_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(checks, "_PACKAGES", (("no-such-thing", "nothing", "engine"),))
    (check,) = checks.packages()
    assert (check.state, check.found) == (State.BROKEN, "not installed")
    assert check.cure == "pip install 'streamavis[engine]'"


@pytest.mark.parametrize(
    ("module", "error", "name", "state", "library"),
    [
        ("cv2", ImportError("libGL.so.1: no such file"), "opencv-python", State.BROKEN, "libgl1"),
        (
            "sounddevice",
            OSError("PortAudio library not found"),
            "sounddevice",
            State.LACKS,
            "libportaudio2",
        ),
    ],
)
def test_a_missing_system_library_names_its_package(
    monkeypatch, module, error, name, state, library
):
    real = checks.importlib.import_module

    def refuse(wanted):
        if wanted == module:
            raise error
        return real(wanted)

    monkeypatch.setattr(checks.importlib, "import_module", refuse)
    check = by_name(checks.packages())[name]
    assert check.state is state
    assert str(error) in check.found
    assert check.cure.startswith("sudo apt-get install") and library in check.cure


@pytest.mark.parametrize("name", ["torchaudio", "aiohttp", "tensorboard"])
def test_what_is_called_ok_was_imported(monkeypatch, name):
    real = checks.importlib.import_module

    def refuse(wanted):
        if wanted.partition(".")[0] == name:
            raise OSError("libtorch: undefined symbol")
        return real(wanted)

    monkeypatch.setattr(checks.importlib, "import_module", refuse)
    monkeypatch.setattr(checks.importlib.metadata, "version", lambda name: "1.0")
    check = by_name(checks.packages())[name]
    assert (check.state, check.found) == (
        State.LACKS,
        "1.0 does not load: libtorch: undefined symbol",
    )


def test_extras_are_told_with_what_they_lack_and_what_they_are_for():
    found = [Check("packages", name, "1.0") for name, _, _ in checks._PACKAGES]
    assert {check.state for check in checks.extras(found)} == {State.OK}
    found += [Check("packages", name, "not there", State.LACKS) for name in ("aiohttp", "torch")]
    told = by_name(checks.extras(found))
    assert list(told) == ["base", "cli", "engine", "web", "train"]
    assert [told[name].state for name in ("cli", "engine", "web")] == [
        State.OK,
        State.LACKS,
        State.LACKS,
    ]
    assert told["web"].found == "lacks aiohttp; for --view web"


def test_missing_weights_break_the_engine(monkeypatch, tmp_path):
    import streamavis.weights

    monkeypatch.setattr(streamavis.weights, "__path__", [str(tmp_path)])
    assert checks.weights().state is State.BROKEN
    (tmp_path / "nano.safetensors").write_bytes(bytes(5_000_000))
    assert checks.weights().found == "nano (5.0 MB)"


def test_no_compiler_is_a_lack(monkeypatch):
    monkeypatch.setattr(checks.shutil, "which", lambda name: None)
    check = by_name(checks.kernels())["compiler"]
    assert (check.state, check.cure) == (State.LACKS, "sudo apt-get install g++")


def test_cameras_are_listed_by_driver_name(tmp_path, monkeypatch):
    monkeypatch.setattr(checks.sys, "platform", "linux")
    assert checks.cameras(tmp_path, tmp_path).state is State.NONE
    (tmp_path / "video0").touch()
    names = tmp_path / "class"
    (names / "video0").mkdir(parents=True)
    (names / "video0" / "name").write_text("Webcam C920\n")
    assert checks.cameras(tmp_path, names).found == f"{tmp_path / 'video0'} (Webcam C920)"
    monkeypatch.setattr(checks.os, "access", lambda node, mode: False)
    refused = checks.cameras(tmp_path, names)
    assert refused.state is State.LACKS and "usermod -aG video" in refused.cure


def test_without_portaudio_microphones_point_to_the_cause(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    check = checks.microphones()
    assert (check.state, check.found) == (State.NONE, "cannot be listed: see sounddevice")


@pytest.mark.parametrize(
    ("problem", "state"), [(None, State.OK), ("no display (DISPLAY is not set)", State.NONE)]
)
def test_no_display_is_no_fault(monkeypatch, problem, state):
    monkeypatch.setattr("streamavis.sinks.window.sink.display_problem", lambda: problem)
    check = checks.display()
    assert check.state is state
    assert problem is None or "--record works without" in check.found


def test_this_machine_is_described():
    found = by_name(checks.all_checks())
    assert found["Python"].found.startswith("3.")
    assert found["reads"].state is State.OK
    assert {"torch", "weights", "kernels", "GPU", "cameras", "microphones", "display"} <= set(found)
