"""One tree of errors, and exit code 2 for every wrong value."""

from __future__ import annotations

import ast
import builtins
import logging
import os
import subprocess
import sys

import pytest
from source_tree import modules
from streamavis_apps.exits import ExitCode, exit_code_of
from streamavis_kernels.errors import KernelArgumentError, KernelBackendError

from streamavis import environment, errors

BUILT_IN = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
# Not for callers: a method that its classes define, a bound on a test's patience, StopIteration.
OTHERS = {"NotImplementedError", "TimeoutError", "StopIteration", "AttributeError"}


def test_the_library_raises_errors_of_its_own_tree_only() -> None:
    found = [
        f"{module.where}:{node.lineno}: {ast.unparse(node)[:80]}"
        for module in modules()
        if not module.name.startswith(("streamavis_apps", "streamavis_benchmarks"))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        if ast.unparse(node.exc.func) in BUILT_IN - OTHERS
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_in_the_tree_and_in_its_drawing(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.StreamAVISError)
    assert f"{name} " in (errors.__doc__ or "").replace("\n", " ")


def test_the_kernels_errors_are_in_the_tree() -> None:
    assert issubclass(KernelArgumentError, errors.ShapeError)
    assert issubclass(KernelArgumentError, ValueError)
    assert issubclass(KernelBackendError, errors.StreamAVISError)


@pytest.mark.parametrize(
    "name",
    [
        "ArgumentError",
        "InputAddressError",
        "InputTrackError",
        "KeyArgumentError",
        "OutputPathError",
        "UnknownModelError",
        "WireAddressError",
    ],
)
def test_a_wrong_value_ends_with_the_code_of_a_wrong_command_line(name: str) -> None:
    assert exit_code_of(getattr(errors, name)("x")) is ExitCode.USAGE


def test_the_library_sets_what_torch_reads_before_torch_is_loaded() -> None:
    code = (
        "import logging, os, sys; logging.basicConfig(level=logging.DEBUG); import streamavis\n"
        "assert 'torch' not in sys.modules; print(os.environ['GOMP_SPINCOUNT'])"
    )
    variables = {name: value for name, value in os.environ.items() if "GOMP" not in name}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    assert done.stdout.split() == [environment.DEFAULTS["GOMP_SPINCOUNT"]]
    assert "set GOMP_SPINCOUNT=5000" in done.stderr
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**variables, "GOMP_SPINCOUNT": "7"},
    )
    assert done.stdout.split() == ["7"], "the user's own"


def test_what_comes_too_late_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setitem(sys.modules, "torch", sys)
    with caplog.at_level(logging.INFO):
        environment.prepare()
    assert "torch was imported before streamavis" in caplog.text
    assert "GOMP_SPINCOUNT" not in os.environ
