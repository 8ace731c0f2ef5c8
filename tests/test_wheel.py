"""The wheel holds everything that runs, nothing else, and its base needs no engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from source_tree import PACKAGE_ROOTS, ROOT, WHEEL_ROOTS

# Import names of every extra: none of them may be needed to read results on a robot.
EXTRAS = (
    "torch torchaudio av cv2 sounddevice scipy safetensors typer rich tensorboard cupy ray aiohttp "
    "mcap zstandard paho supervision"
)
BLOCK_EXTRAS = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(EXTRAS.split())!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked in this test", name=name)

sys.meta_path.insert(0, Blocked())
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run to the end; a failure shows what the command said."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command[0]} exited {done.returncode}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy: no stale `build/`, and none left behind."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for root in PACKAGE_ROOTS:
        for package in root.glob("streamavis*/__init__.py"):
            target = copy / package.parent.relative_to(ROOT)
            shutil.copytree(package.parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", cwd=copy)
    (built,) = (copy / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_it_holds_every_file_of_the_packages(unpacked: Path) -> None:
    expected = {
        path.relative_to(root)
        for root in WHEEL_ROOTS
        for package in root.glob("streamavis*/__init__.py")
        for path in package.parent.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    packed = {path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()}
    packed = {path for path in packed if not path.parts[0].endswith(".dist-info")}
    assert not (left_out := sorted(map(str, expected - packed))), f"left out: {left_out}"
    assert not (unexpected := sorted(map(str, packed - expected))), f"unexpected: {unexpected}"


@pytest.mark.parametrize(
    "name", ["streamavis", "streamavis_kernels", "streamavis_apps", "streamavis_training"]
)
def test_it_holds_the_package_and_its_types(unpacked: Path, name: str) -> None:
    assert (unpacked / name / "__init__.py").is_file()
    assert (unpacked / name / "py.typed").is_file()


def test_it_holds_weights_kernel_sources_and_licence(unpacked: Path) -> None:
    assert list(unpacked.glob("streamavis/weights/*.safetensors"))
    assert list(unpacked.glob("streamavis_kernels/csrc/*"))
    assert list(unpacked.glob("*.dist-info/licenses/LICENSE"))


def test_the_base_needs_no_extra(unpacked: Path) -> None:
    """A robot installs `streamavis` alone: results arrive without torch, av or OpenCV."""
    script = f"""{BLOCK_EXTRAS}
sys.path.insert(0, {str(unpacked)!r})
import streamavis, streamavis.errors, streamavis.masks, streamavis.types
from streamavis.wire import Publisher, Subscriber
print(streamavis.__file__)
"""
    said = run(sys.executable, "-c", script, cwd=unpacked)
    assert said.strip() == str(unpacked / "streamavis" / "__init__.py")


def test_without_the_engine_opening_names_the_command_that_installs_it(unpacked: Path) -> None:
    script = f"""{BLOCK_EXTRAS}
sys.path.insert(0, {str(unpacked)!r})
import streamavis
from streamavis.errors import MissingExtraError
try:
    streamavis.open("clip.mp4")
except MissingExtraError as error:
    print(error)
"""
    assert "pip install 'streamavis[engine]'" in run(sys.executable, "-c", script, cwd=unpacked)


@pytest.mark.slow
def test_installed_it_runs_the_demo_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """In a venv that sees our dependencies but not this repository."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    purelib = sysconfig.get_path("purelib", vars={"base": str(environment)})
    # Folders named in a .pth file are searched; .pth files in them (the editable install) are not.
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    where = run(python, "-c", "import streamavis; print(streamavis.__file__)", cwd=tmp_path)
    assert where.startswith(str(environment))

    empty = tmp_path / "empty"
    empty.mkdir()
    run(environment / "bin" / "streamavis", "demo", cwd=empty, OMP_NUM_THREADS="2")
    assert (empty / "out/demo/annotated.mp4").stat().st_size > 0
    assert (empty / "out/demo/results.jsonl").read_text().count("\n") > 0
