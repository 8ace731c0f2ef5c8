"""Which implementation runs, what is built where, and what is refused."""

import logging
import stat
from pathlib import Path

import pytest
import streamavis_kernels as kernels
import torch
from streamavis_kernels import build
from streamavis_kernels.backend import _choose
from streamavis_kernels.errors import KernelArgumentError, KernelBackendError
from streamavis_kernels.sampling import native, reference


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A process that has chosen nothing yet and has an empty cache; gives monkeypatch."""
    caches = (_choose, build._compiler, native._library, native._function)
    caches += (build._temporary_directory,)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.delenv("STREAMAVIS_KERNELS", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("STREAMAVIS_CACHE", str(tmp_path / "cache"))
    yield monkeypatch
    for cache in caches:
        cache.cache_clear()


def script(path: Path, text: str) -> str:
    """An executable that stands in for a compiler."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def inputs():
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(1, 5, 2, 4, generator=generator),
        [(2, 2), (1, 1)],
        torch.rand(1, 3, 2, 2, 2, 2, generator=generator),
        torch.rand(1, 3, 2, 2, 2, generator=generator),
    )


def test_without_a_compiler_one_sentence_is_logged_and_the_reference_runs(fresh, caplog):
    fresh.setenv("CXX", "no-such-compiler")
    with caplog.at_level(logging.INFO, logger="streamavis_kernels"):
        results = [kernels.deform_attn(*inputs()) for _ in range(3)]
    assert kernels.backend() == "reference"
    assert len(caplog.records) == 1
    assert "no C++ compiler found (looked for no-such-compiler)" in caplog.text
    assert torch.equal(results[0], reference.deform_attn(*inputs()))


@pytest.mark.parametrize("breaks", ["at once", "when it compiles", "by writing rubbish"])
def test_a_broken_compiler_is_no_compiler_and_leaves_nothing_half_built(
    fresh, caplog, tmp_path, breaks
):
    texts = {
        "at once": "echo cannot start >&2; exit 3",
        "when it compiles": 'case "$*" in *-dM*) exit 0;; esac; echo broken >&2; exit 1',
        "by writing rubbish": (
            'case "$*" in *-dM*) exit 0;; esac; while [ "$1" != -o ]; do shift; done; echo x > "$2"'
        ),
    }
    fresh.setenv("CXX", script(tmp_path / "c++", texts[breaks]))
    assert kernels.backend() == "reference"
    assert len(caplog.records) == 1
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert all(path.suffix == ".so" for path in left)
    assert len(left) == (breaks == "by writing rubbish")


COMPILES = 'case "$*" in *-dM*) exit 0;; esac; while [ "$1" != -o ]; do shift; done; echo > "$2"'


def test_a_cache_that_cannot_be_written_is_told_once_and_a_temporary_folder_used(
    fresh, caplog, tmp_path
):
    (tmp_path / "file").touch()
    fresh.setenv("STREAMAVIS_CACHE", str(tmp_path / "file"))
    fresh.setenv("CXX", script(tmp_path / "c++", COMPILES))
    fresh.setattr(build.tempfile, "tempdir", str(tmp_path))
    names = []
    with build.telling_builds(names.append):
        built = {build.build("int x;", name, ()) for name in ("one", "two", "one")}
    assert names == ["one", "two"], "each is built once"
    (folder,) = {path.parent for path in built}
    assert folder.parent == tmp_path and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(caplog.records) == 1
    assert f"cannot write the kernel cache {tmp_path / 'file'}" in caplog.text


def test_without_any_folder_to_write_that_is_the_reason(fresh, tmp_path):
    (tmp_path / "file").touch()
    fresh.setenv("STREAMAVIS_CACHE", str(tmp_path / "file"))
    fresh.setenv("CXX", script(tmp_path / "c++", COMPILES))
    fresh.setattr(build.tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(KernelBackendError, match=r"cache .*file.*nor a temporary folder"):
        build.build("int x;", "one", ())


def test_the_environment_chooses(fresh):
    fresh.setenv("STREAMAVIS_KERNELS", "reference")
    assert kernels.backend() == "reference"
    fresh.setenv("STREAMAVIS_KERNELS", "something else")
    assert kernels.backend() == "reference", "chosen once"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("cupy", "PyTorch finds no CUDA device"),
        ("nativ", "STREAMAVIS_KERNELS=nativ: expected cupy, native, reference"),
        ("native", "no C.. compiler found"),
    ],
)
def test_what_is_asked_for_and_not_there_is_an_error(fresh, wanted, message):
    fresh.setenv("STREAMAVIS_KERNELS", wanted)
    fresh.setenv("CXX", "no-such-compiler")
    with pytest.raises(KernelBackendError, match=message):
        kernels.deform_attn(*inputs())


def test_a_library_is_built_once_per_source_flags_and_target(fresh, tmp_path):
    count = tmp_path / "count"
    compiler = script(
        tmp_path / "c++",
        f'case "$*" in *-dM*) exit 0;; esac; echo >> {count}; '
        'while [ "$1" != -o ]; do shift; done; echo > "$2"',
    )
    fresh.setenv("CXX", compiler)
    built = [build.build("int x;", "kernel", ("-DAV_L=1",)) for _ in range(2)]
    assert built[0] == built[1]
    assert len(count.read_text()) == 1
    built.append(build.build("int x;", "kernel", ("-DAV_L=2",)))
    built.append(build.build("int y;", "kernel", ("-DAV_L=1",)))
    fresh.setattr(build, "_compiler", lambda: ((compiler,), "another CPU"))
    built.append(build.build("int y;", "kernel", ("-DAV_L=1",)))
    assert len(set(built)) == len(count.read_text()) == 4
    assert {path.parent for path in built} == {tmp_path / "cache" / "kernels"}


def bad(index, change):
    arguments = list(inputs())
    arguments[index] = change(arguments[index])
    return arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (bad(0, lambda x: x[0]), r"value is of shape \(5, 2, 4\), expected \(B, S, M, D\)"),
        (bad(0, lambda x: x.int()), "value is torch.int32, expected float32"),
        (bad(0, lambda x: x[:, 1:]), "value is of S=4, expected S=5"),
        (bad(1, lambda x: [*x, (0, 2)]), r"level_shapes is .*\(0, 2\)\], expected \(h, w\) pairs"),
        (bad(1, lambda x: [(5, 1)]), r"locations is of shape .*expected \(B=1, Q, M=2, L=1, P, 2"),
        (bad(2, lambda x: x[..., 0]), "locations is of shape"),
        (bad(2, lambda x: x.double()), "locations is torch.float64, expected torch.float32"),
        (bad(2, lambda x: x.to("meta")), "locations is on meta, expected cpu as value"),
        (bad(3, lambda x: x[..., :1]), r"weights is of shape .*expected \(1, 3, 2, 2, 2\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(KernelArgumentError, match=message):
        kernels.deform_attn(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"projections": torch.zeros(1, 3, 25)}, r"projections is .*with M=2, L=2"),
        ({"reference_points": torch.zeros(2, 2, 2)}, r"expected \(3, 2, 2\) or \(1, 3, 2, 2\)"),
        ({"audio_bias": torch.zeros(1, 3)}, r"audio_bias is .*\(B, M, L\*P\) = \(1, 2, 4\)"),
        ({"audio_gate": torch.zeros(1, 9)}, r"audio_gate is .*\(B, M\*D\) = \(1, 8\)"),
        ({"audio_gate": torch.zeros(1, 8).half()}, "audio_gate is torch.float16, expected"),
    ],
)
def test_wrong_audio_arguments_are_named(change, message):
    arguments = {
        "value": torch.zeros(1, 5, 2, 4),
        "level_shapes": [(2, 2), (1, 1)],
        "projections": torch.zeros(1, 3, 24),
        "reference_points": torch.zeros(3, 2, 2),
    }
    kernels.audio_deform_attn(**arguments)
    with pytest.raises(KernelArgumentError, match=message):
        kernels.audio_deform_attn(**arguments | change)
