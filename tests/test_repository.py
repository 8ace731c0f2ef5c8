"""What must hold for the repository as a whole."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from source_tree import ROOT, modules, needs_clone, tracked_files

MAX_BYTES = 15_000_000
MAX_LINES = 500
# Spelled apart, or this file would name them itself.
MACHINE_PATH = re.compile(r"(?<![\w.:/~$}-])/" + r"(?:work|root|tmp|home)\b")


def text_of(path: Path) -> str:
    """The file as text; empty for binary files."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@needs_clone
def test_no_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked_files()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("open('/" + "work/main/clip.mp4')", True),
        ("cache = /" + "tmp", True),
        ("https://host/" + "work/", False),
        ("metrics/" + "work", False),
        ("/" + "workers", False),
    ],
)
def test_a_machine_path_is_recognised(line: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) == found


@needs_clone
def test_no_file_is_too_large_to_clone_in_a_moment() -> None:
    large = {
        str(path.relative_to(ROOT)): path.stat().st_size
        for path in tracked_files()
        if path.stat().st_size > MAX_BYTES
    }
    assert not large, f"more than {MAX_BYTES} bytes: {large}"


def test_every_weights_file_has_its_card() -> None:
    for weights in (ROOT / "streamavis/weights").glob("*.safetensors"):
        card = weights.with_suffix(".md")
        assert card.is_file(), f"{weights.name} has no model card {card.name} beside it"


def test_source_files_stay_readable() -> None:
    sources = [module.path for module in modules()] + [*(ROOT / "tests").rglob("*.py")]
    sources += [path for path in (ROOT / "kernels").rglob("csrc/*") if path.is_file()]
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources
        if (lines := len(text_of(path).splitlines())) > MAX_LINES
    }
    assert not long, f"more than {MAX_LINES} lines: {long}"


def test_the_licence_is_apache_2() -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_make_installs_once(tmp_path: Path) -> None:
    """A finished set-up costs nothing; a changed dependency list runs it again."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def plan() -> str:
        make = ["make", "--dry-run", "test", "demo"]
        return subprocess.run(make, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert "pip install" in plan()
    stamp = tmp_path / ".venv" / ".installed"
    stamp.parent.mkdir()
    stamp.touch()
    assert "pip install" not in plan()
    later = time.time() + 60
    os.utime(tmp_path / "constraints.txt", (later, later))
    assert plan().count("pip install") == 1


def test_make_alone_explains_every_target() -> None:
    make = ["make", "--no-print-directory"]
    said = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    missing = [target for target in phony[1].split() if f"make {target} " not in said]
    assert not missing, f"targets without a `## sentence` in the Makefile: {missing}"


def test_a_bare_machine_has_python_and_nothing_that_was_installed_besides(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("g++", "x86_64-linux-gnu-g++-12", "chromium", "pulseaudio", "mytool"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    script = "command -v g++ chromium pulseaudio x86_64-linux-gnu-g++-12; command -v mytool"
    script += "; mkdir ~/x 2>/dev/null && echo written; echo $DISPLAY"
    done = subprocess.run(
        [ROOT / "scripts" / "bare", "bash", "-c", script],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "DISPLAY": ":0"},
        capture_output=True,
        text=True,
    )
    assert [Path(line).name for line in done.stdout.split()] == ["mytool"], done.stderr


def test_a_test_that_skips_after_it_has_begun_fails() -> None:
    spec = importlib.util.spec_from_file_location("ours", ROOT / "tests" / "conftest.py")
    assert spec is not None and spec.loader is not None
    ours = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ours)
    hook = ours.pytest_runtest_call(SimpleNamespace(name="test_late"))
    next(hook)
    with pytest.raises(pytest.fail.Exception, match="test_late skips after it has begun"):
        hook.throw(pytest.skip.Exception("no browser"))
