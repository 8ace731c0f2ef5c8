"""Imports run one way: kernels <- streamavis <- training, apps. This is the whole table."""

from __future__ import annotations

import ast
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from source_tree import ROOT, Module, modules


@dataclass(frozen=True)
class Rule:
    """What one part of the code may import besides itself and the standard library."""

    ours: frozenset[str]
    others: frozenset[str]
    late: frozenset[str]  # of these, what may be imported inside functions only


def rule(ours: str = "", others: str = "", late: str = "") -> Rule:
    late_names = frozenset(late.split())
    shallow = frozenset(name for name in late_names if not name.startswith("streamavis"))
    return Rule(
        frozenset(ours.split()) | (late_names - shallow),
        frozenset(others.split()) | shallow,
        late_names,
    )


BASE = "streamavis.errors streamavis.types streamavis.masks"
STREAM = BASE + " streamavis.clock streamavis.status streamavis.protocols"
SESSION = STREAM + " streamavis.audio_ring streamavis.runtime"
ENGINE = "numpy torch scipy av cv2 sounddevice safetensors"
RULES = {
    # Its errors belong to the tree of errors, which imports nothing.
    "streamavis_kernels": rule("streamavis.errors", "numpy torch", late="cupy"),
    "streamavis.errors": rule(),
    "streamavis.types": rule("streamavis.masks", late="numpy supervision streamavis.forms"),
    "streamavis.forms": rule(BASE, "numpy", late="supervision"),
    "streamavis.masks": rule("streamavis.errors", late="numpy pycocotools"),
    "streamavis.clock": rule("streamavis.errors"),
    "streamavis.audio_ring": rule(BASE + " streamavis.clock", "numpy msgspec"),
    "streamavis.words": rule(BASE),
    "streamavis.redaction": rule(),
    "streamavis.limits": rule(),
    "streamavis.bearing": rule(BASE, "numpy"),
    "streamavis.follow": rule(BASE, late="rclpy sensor_msgs trajectory_msgs builtin_interfaces"),
    "streamavis.wire": rule(BASE + " streamavis.limits", "numpy zmq msgspec msgpack pycocotools"),
    "streamavis.palette": rule("streamavis.types"),
    "streamavis.recordings": rule(
        BASE + " streamavis.wire streamavis.palette streamavis.words",
        "numpy msgspec",
        late="mcap zstandard",
    ),
    "streamavis.bridges": rule(BASE + " streamavis.wire streamavis.redaction", late="paho"),
    "streamavis.metrics": rule(BASE, "numpy scipy pycocotools msgspec"),
    "streamavis.weights": rule(),
    "streamavis.layers": rule(BASE, "torch"),
    "streamavis.resize": rule("streamavis.errors streamavis_kernels", "numpy torch"),
    "streamavis.audio": rule(BASE + " streamavis_kernels streamavis.layers", "numpy torch"),
    "streamavis.model": rule(
        BASE + " streamavis_kernels streamavis.layers streamavis.resize streamavis.audio",
        "numpy torch",
        late="timm",
    ),
    "streamavis.checkpoint": rule(
        BASE + " streamavis.model streamavis.audio streamavis.weights", "numpy torch safetensors"
    ),
    "streamavis.io": rule(
        BASE + " streamavis.redaction streamavis.clock streamavis.audio_ring streamavis.protocols"
        " streamavis.limits streamavis.bearing",
        "numpy av cv2 msgspec",
        late="sounddevice cv2_enumerate_cameras",
    ),
    "streamavis.viz": rule(
        BASE + " streamavis.words streamavis.palette streamavis.audio_ring", "numpy cv2"
    ),
    "streamavis.status": rule("streamavis.types"),
    "streamavis.protocols": rule("streamavis.types streamavis.status"),
    "streamavis.runtime": rule(
        STREAM + " streamavis_kernels streamavis.audio_ring streamavis.limits streamavis.bearing",
        "numpy torch scipy cv2 msgspec",
    ),
    "streamavis.sinks": rule(
        STREAM + " streamavis.audio_ring streamavis.limits streamavis.wire streamavis.viz"
        " streamavis.io streamavis.recordings streamavis.bearing",
        "numpy cv2 msgspec",
    ),
    "streamavis.device": rule(BASE, "torch"),
    "streamavis.offline": rule(
        BASE + " streamavis.device streamavis.io streamavis.model streamavis.audio"
        " streamavis.checkpoint",
        "numpy torch",
    ),
    "streamavis.pushing": rule(BASE + " streamavis.io", "numpy torch av"),
    "streamavis.session": rule(SESSION + " streamavis.pushing streamavis.resize", "numpy torch"),
    "streamavis.warmup": rule(SESSION + " streamavis.session streamavis_kernels", "numpy"),
    "streamavis.admission": rule(SESSION + " streamavis.warmup", "torch"),
    "streamavis.api": rule(
        SESSION + " streamavis.session streamavis.warmup streamavis.io streamavis.checkpoint"
        " streamavis.device streamavis.offline streamavis.model streamavis.results"
        " streamavis.redaction streamavis.bearing",
        late="torch",
    ),
    "streamavis.results": rule(SESSION + " streamavis.io"),
    # The top of the library: it opens everything below, and loads it on first use.
    "streamavis": rule("streamavis.environment", late="streamavis"),
    "streamavis.environment": rule(),
    "streamavis_training": rule(
        "streamavis streamavis_kernels", ENGINE + " torchaudio tensorboard msgspec rich pycocotools"
    ),
    "streamavis_apps": rule(
        "streamavis streamavis_kernels",
        ENGINE + " zmq msgspec msgpack typer rich aiohttp",
        late="streamavis_training streamavis_benchmarks torchaudio",
    ),
    # Of a clone; nobody but the `bench` commands imports it.
    "streamavis_benchmarks": rule(
        "streamavis streamavis_kernels streamavis_training streamavis_apps",
        ENGINE + " zmq msgspec rich aiohttp",
    ),
}
# Where the name that is imported and the name that is installed differ.
DISTRIBUTIONS = {
    "zmq": "pyzmq",
    "paho": "paho-mqtt",
    "cv2": "opencv-python",
    "cv2_enumerate_cameras": "cv2-enumerate-cameras",
    "cupy": "cupy-cuda13x",
}
# Of ROS 2, which is installed beside Python packages, not from a registry.
NOT_ON_A_REGISTRY = {"rclpy", "sensor_msgs", "trajectory_msgs", "builtin_interfaces"}
OUR_PACKAGES = {name.partition(".")[0] for name in RULES}
WITHOUT_EXTRAS = ["errors", "masks", "words", "wire", "bearing", "follow"]


def within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(parent + ".")


def part_of(name: str) -> str | None:
    """The row of the table for `name`; "streamavis" is `streamavis/__init__.py` alone."""
    if name == "streamavis":
        return name
    return next((part for part in RULES if part != "streamavis" and within(name, part)), None)


def violations(module: Module) -> list[str]:
    """Each import of `module` that the table forbids, as `file:line: sentence`."""
    part = part_of(module.name)
    if part is None:
        return [f"{module.where}: {module.name} has no row in the table of {Path(__file__).name}"]
    found = []
    for imported in module.imports():
        top = imported.target.partition(".")[0]
        ours = top in OUR_PACKAGES
        if top in sys.stdlib_module_names or (ours and part_of(imported.target) == part):
            continue
        allowed = RULES[part].ours if ours else RULES[part].others
        early = allowed - RULES[part].late
        name = imported.target if ours else top
        if not any(within(name, one) for one in allowed):
            sentence = f"{part} may not import {name}"
        elif not imported.late and not any(within(name, one) for one in early):
            sentence = f"{part} may import {name} inside a function only"
        else:
            continue
        found.append(f"{module.where}:{imported.line}: {sentence}")
    return found


def test_every_import_is_in_the_table() -> None:
    found = [violation for module in modules() for violation in violations(module)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("streamavis.wire.codec", "import torch", "may not import torch"),
        ("streamavis.wire.codec", "def f():\n    import torch.nn as nn", "may not import torch"),
        (
            "streamavis.io.media",
            "from streamavis.model import nano",
            "may not import streamavis.model",
        ),
        ("streamavis.io.media", "from ..runtime.engine import Engine", "may not import"),
        ("streamavis.io.media", "import sounddevice", "inside a function only"),
        ("streamavis.model.nano", "from streamavis.runtime import engine", "may not import"),
        ("streamavis_kernels.op", "import streamavis", "may not import streamavis"),
        ("streamavis_kernels.op", "from streamavis.types import Track", "may not import"),
        ("streamavis_kernels.op", "import cupy", "inside a function only"),
        ("streamavis_training.loop", "import streamavis_apps.cli", "may not import"),
        ("streamavis_apps.cli", "from streamavis_training import synth", "inside a function only"),
        (
            "streamavis_apps.commands.bench",
            "import streamavis_benchmarks",
            "inside a function only",
        ),
        ("streamavis_training.loop", "import streamavis_benchmarks.live", "may not import"),
        ("streamavis_apps.cli", "import detectron2", "may not import detectron2"),
        ("streamavis.wire", "import importlib\nimportlib.import_module('torch')", "may not import"),
        ("streamavis", "from streamavis.model import nano", "inside a function only"),
        ("streamavis.gadgets", "", "has no row in the table"),
    ],
)
def test_a_forbidden_import_is_noticed(name: str, source: str, sentence: str) -> None:
    path = ROOT / (name.replace(".", "/") + ".py")
    (violation,) = violations(Module(name, path, source))
    assert sentence in violation


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("streamavis.io.media", "from streamavis.clock import Clock\nimport av"),
        ("streamavis.io.microphone", "def open():\n    import sounddevice"),
        ("streamavis.wire.codec", "from .schema import Hello\nfrom ..types import Track"),
        ("streamavis_apps.cli", "def synth():\n    import streamavis_training.synth"),
    ],
)
def test_an_allowed_import_passes(name: str, source: str) -> None:
    path = ROOT / (name.replace(".", "/") + ".py")
    assert violations(Module(name, path, source)) == []


def test_every_package_in_the_table_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {requirement.partition(">")[0] for requirement in project["dependencies"]}
    extras = {
        requirement.partition(">")[0]
        for requirements in project["optional-dependencies"].values()
        for requirement in requirements
    }
    for part, allowed in RULES.items():
        needed = {DISTRIBUTIONS.get(name, name) for name in allowed.others}
        without_extras = part.partition(".")[2] in WITHOUT_EXTRAS
        needed -= NOT_ON_A_REGISTRY
        missing = needed - base - (set() if without_extras else extras)
        assert not missing, f"{part} may import {missing}, which pyproject.toml does not declare"


def test_only_apps_touch_the_process() -> None:
    """The library opens only what its caller names: no argv, printing, signals, logging set-up."""
    forbidden = {"print", "sys.argv", "signal.signal", "logging.basicConfig", "sys.exit"}
    forbidden |= {"argparse.ArgumentParser"}
    found = []
    for module in modules():
        if module.name.partition(".")[0] in {"streamavis_apps", "streamavis_benchmarks"}:
            continue
        for node in ast.walk(module.tree):
            used = node.func if isinstance(node, ast.Call) else node
            name = ast.unparse(used) if isinstance(used, ast.Name | ast.Attribute) else ""
            called = isinstance(node, ast.Call) or name == "sys.argv"
            if called and name in forbidden:
                found.append(f"{module.where}:{node.lineno}: {name}")
    assert not found, "\n".join(sorted(set(found)))
