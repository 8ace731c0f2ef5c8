"""What `streamavis doctor` checks. A missing part is a finding here, never an error."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from streamavis_apps.machine import cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "Check",
    "State",
    "all_checks",
    "cameras",
    "codecs",
    "display",
    "extras",
    "gpu",
    "kernels",
    "microphones",
    "packages",
    "system",
    "weights",
]

# Distribution, module that shows it loads, extra that brings it.
_PACKAGES = (
    ("numpy", "numpy", ""),
    ("pyzmq", "zmq", ""),
    ("msgspec", "msgspec", ""),
    ("msgpack", "msgpack", ""),
    ("pycocotools", "pycocotools.mask", ""),
    ("typer", "typer", "cli"),
    ("rich", "rich.console", "cli"),
    ("torch", "torch", "engine"),
    ("av", "av", "engine"),
    ("opencv-python", "cv2", "engine"),
    ("scipy", "scipy", "engine"),
    ("safetensors", "safetensors", "engine"),
    ("sounddevice", "sounddevice", "engine"),
    ("aiohttp", "aiohttp.web", "web"),
    ("torchaudio", "torchaudio", "train"),
    ("tensorboard", "tensorboard", "train"),
)
_OPTIONAL = {"sounddevice", "aiohttp", "torchaudio", "tensorboard"}  # a replay needs none of them
_EXTRAS = {  # what each is for
    "": "results on a robot: streamavis.wire",
    "cli": "view, keys",
    "engine": "live, replay, demo, segment, eval",
    "web": "--view web",
    "train": "train",
}
_LIBRARIES = {  # what a package that is installed and does not load needs
    "opencv-python": "sudo apt-get install libgl1 libglib2.0-0",
    "sounddevice": "sudo apt-get install libportaudio2",
    "torchaudio": "pip install --upgrade torch torchaudio (both of one release)",
}
_CUDA_WHEELS = "https://download.pytorch.org/whl/cu130"
_CODECS: dict[Literal["r", "w"], tuple[str, ...]] = {
    "r": ("h264", "hevc", "vp9", "aac", "opus", "mp3"),
    "w": ("libx264", "aac"),
}


class State(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    NONE = "-"  # not there, and nothing to repair: no camera is plugged in
    LACKS = "missing"  # an optional part is missing; the cure brings it
    BROKEN = "MISSING"  # the engine cannot run without it


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    group: str
    name: str
    found: str  # what is there, or why it is not
    state: State = State.OK
    cure: str = ""  # the command that fixes it


def all_checks() -> Iterator[Check]:
    """Look at this machine, one finding at a time, in the order they are shown."""
    yield from system()
    found = list(packages())
    yield from found
    yield from extras(found)
    yield weights()
    yield from kernels()
    yield from codecs()
    yield from gpu()
    yield cameras()
    yield microphones()
    yield display()


def system() -> Iterator[Check]:
    """The interpreter and the machine."""
    yield Check("system", "Python", f"{platform.python_version()}, {sys.executable}")
    about = f"{platform.system()} {platform.machine()}, {cores()} cores"
    yield Check("system", "machine", about)


def packages() -> Iterator[Check]:
    """Versions of what we import, and whether it loads."""
    for name, module, extra in _PACKAGES:
        missing = State.LACKS if name in _OPTIONAL else State.BROKEN
        cure = f"pip install 'streamavis[{extra}]'" if extra else "pip install streamavis"
        try:
            version = importlib.metadata.version(name)
            importlib.import_module(module)
        except (importlib.metadata.PackageNotFoundError, ModuleNotFoundError):
            yield Check("packages", name, "not installed", missing, cure)
        except (ImportError, OSError) as error:
            problem = f"{version} does not load: {error}"
            yield Check("packages", name, problem, missing, _LIBRARIES.get(name, cure))
        else:
            yield Check("packages", name, version)


def extras(found: Iterable[Check]) -> Iterator[Check]:
    """Which extras are complete, as `packages` has found them, and what each is for."""
    lacking = {check.name for check in found if check.state is not State.OK}
    for extra, purpose in _EXTRAS.items():
        lacks = [name for name, _, of in _PACKAGES if of == extra and name in lacking]
        if lacks:  # their fixes are listed with the packages
            text = f"lacks {', '.join(lacks)}; for {purpose}"
            yield Check("extras", extra or "base", text, State.LACKS)
        else:
            yield Check("extras", extra or "base", purpose)


def weights() -> Check:
    """Shipped weights."""
    import streamavis.weights

    files = sorted(Path(streamavis.weights.__path__[0]).glob("*.safetensors"))
    if not any(file.stem == "nano" for file in files):
        cure = "pip install --force-reinstall --no-deps streamavis"
        return Check("engine", "weights", "nano.safetensors is missing", State.BROKEN, cure)
    sizes = (f"{file.stem} ({file.stat().st_size / 1e6:.1f} MB)" for file in files)
    return Check("engine", "weights", ", ".join(sizes))


def kernels() -> Iterator[Check]:
    """The sampling kernel in use and the compiler that makes the native one."""
    compiler = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)
    if compiler:
        yield Check("engine", "compiler", compiler)
    else:
        found = "none; the engine runs on slower reference kernels"
        cure = "sudo apt-get install g++"
        yield Check("engine", "compiler", found, State.LACKS, cure)
    try:
        from streamavis_kernels import backend
    except ImportError as error:
        yield Check("engine", "kernels", f"do not load: {error}", State.BROKEN)
    else:
        yield Check("engine", "kernels", backend())


def codecs() -> Iterator[Check]:
    """What this build of FFmpeg, inside PyAV, can read and write."""
    try:
        import av
    except ImportError:
        return  # listed with the packages
    cure = "pip install --force-reinstall --only-binary :all: av"
    for mode, names in _CODECS.items():
        verb = "reads" if mode == "r" else "writes"
        missing = [name for name in names if not _has_codec(name, mode)]
        found = ", ".join(name for name in names if name not in missing)
        if missing:
            yield Check("media", verb, f"not {', '.join(missing)}", State.LACKS, cure)
        else:
            yield Check("media", verb, f"{found} (FFmpeg {av.ffmpeg_version_info})")


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    import av

    try:
        av.Codec(name, mode)
    except ValueError:
        return False
    return True


def gpu() -> Iterator[Check]:
    """A CUDA device, the torch that can use it, and cupy for our kernels."""
    try:
        import torch
    except (ImportError, OSError):
        return  # listed with the packages
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())}
        yield Check("devices", "GPU", ", ".join(sorted(names)))
        yield _cupy(torch.version.cuda or "")
    elif Path("/dev/nvidiactl").exists():
        found = f"there, but torch {torch.__version__} cannot use it"
        cure = f"pip install --force-reinstall torch --index-url {_CUDA_WHEELS}"
        yield Check("devices", "GPU", found, State.LACKS, cure)
    else:
        yield Check("devices", "GPU", "none; the engine runs on the CPU", State.NONE)


def _cupy(cuda: str) -> Check:
    extra = "cuda12" if cuda.startswith("12") else "cuda13"
    try:
        version = importlib.metadata.version(f"cupy-{extra}x")
    except importlib.metadata.PackageNotFoundError:
        cure = f"pip install 'streamavis[{extra}]'"
        return Check("devices", "cupy", "not installed", State.LACKS, cure)
    return Check("devices", "cupy", version)


def cameras(dev: Path = Path("/dev"), sys_class: Path = Path("/sys/class/video4linux")) -> Check:
    """Camera nodes of Linux, with the drivers' names for them."""
    if sys.platform != "linux":
        return Check("devices", "cameras", f"not listed on {sys.platform}", State.NONE)
    nodes = sorted(dev.glob("video[0-9]*"))
    if not nodes:
        return Check("devices", "cameras", "none", State.NONE)
    refused = [node.name for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if refused:
        cure = 'sudo usermod -aG video "$USER" (then log in again)'
        return Check("devices", "cameras", f"no access to {refused[0]}", State.LACKS, cure)
    labels = (sys_class / node.name / "name" for node in nodes)
    names = (label.read_text().strip() if label.exists() else "camera" for label in labels)
    pairs = zip(nodes, names, strict=True)
    return Check("devices", "cameras", ", ".join(f"{node} ({name})" for node, name in pairs))


def microphones() -> Check:
    """Input devices of PortAudio."""
    try:
        import sounddevice
    except (ImportError, OSError):
        return Check("devices", "microphones", "cannot be listed: see sounddevice", State.NONE)
    try:
        inputs = [str(d["name"]) for d in sounddevice.query_devices() if d["max_input_channels"]]
    except sounddevice.PortAudioError as error:
        return Check("devices", "microphones", f"cannot be listed: {error}", State.NONE)
    state = State.OK if inputs else State.NONE
    return Check("devices", "microphones", ", ".join(inputs) or "none", state)


def display() -> Check:
    """Whether `--view window` works."""
    try:
        from streamavis.sinks.window.sink import display_problem
    except (ImportError, OSError) as error:
        return Check("devices", "display", f"cannot be tried: {error}", State.NONE)
    problem = display_problem()
    if problem:
        return Check("devices", "display", f"{problem}; --record works without", State.NONE)
    return Check("devices", "display", "windows can be opened")
