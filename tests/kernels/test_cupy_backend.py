"""How launches reach CuPy, with a CuPy that only listens."""

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from runners import needs_compiler
from streamavis_kernels import backend, cupy_backend
from streamavis_kernels.backend import _choose
from streamavis_kernels.errors import KernelBackendError
from streamavis_kernels.launch import CSRC, Launch, Variant, source, struct
from streamavis_kernels.variants import VARIANTS


class Listening:
    """Stands in for the cupy module; keeps what it was asked for."""

    __version__ = "14.0"

    def __init__(self, *, gpu=True, protocol=True):
        self.modules, self.launches, self.streams = [], [], []
        self.entered = None
        stream = SimpleNamespace(from_external=self.stream) if protocol else SimpleNamespace()
        self.cuda = SimpleNamespace(
            Stream=stream,
            ExternalStream=lambda pointer, device: self.stream(pointer),
            is_available=lambda: gpu,
        )

    def stream(self, of):
        self.streams.append(of)
        return Entered(self, of)

    def RawModule(self, *, code, options):
        self.modules.append((code, options))
        return SimpleNamespace(get_function=lambda name: lambda *launch: self.hear(name, launch))

    def hear(self, name, launch):
        self.launches.append((name, self.entered, launch))


class Entered:
    """Stands in for a CuPy stream: while entered, it is the current one."""

    def __init__(self, listening, of):
        self.listening, self.of = listening, of

    def __enter__(self):
        self.listening.entered = self.of

    def __exit__(self, *error):
        self.listening.entered = None


class Stream(SimpleNamespace):
    """Stands in for torch.cuda.Stream."""

    def __hash__(self):
        return hash(self.cuda_stream)

    def __cuda_stream__(self):
        return 0, self.cuda_stream


@pytest.fixture
def cupy(monkeypatch):
    """A machine with a GPU and CuPy, as far as anyone can tell; on torch's stream number 7."""
    listening = Listening()
    monkeypatch.setitem(sys.modules, "cupy", listening)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    set_stream(monkeypatch, 7)
    caches = (_choose, cupy_backend._kernel, cupy_backend._cupy_stream)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.delenv("STREAMAVIS_KERNELS", raising=False)
    yield listening
    for cache in caches:
        cache.cache_clear()


def set_stream(monkeypatch, pointer):
    stream = Stream(cuda_stream=pointer, device_index=0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)


def launch(defines=("AV_T=f32",)):
    levels = struct([1, 2], np.int32)
    return Launch(Variant("mask_ids", defines), (3, 2, 1), 128, (99, np.int32(4), levels))


def test_a_launch_goes_to_torchs_stream_with_its_arguments_as_they_are(cupy, monkeypatch):
    one = launch()
    cupy_backend.run(one)
    ((name, stream, (grid, block, arguments)),) = cupy.launches
    assert (name, stream.cuda_stream) == ("mask_ids", 7)
    assert (grid, block, arguments) == ((3, 2, 1), (128,), one.arguments)
    assert arguments[2].size == 1, "CuPy passes an array by value if it has one element"
    ((code, options),) = cupy.modules
    assert code == source(CSRC / "mask_ids.cu")
    assert "#include" not in code
    assert options == ("-std=c++17", "--device-as-default-execution-space", "-DAV_T=f32")


def test_kernels_and_streams_are_made_once(cupy, monkeypatch):
    for _ in range(3):
        cupy_backend.run(launch())
    assert (len(cupy.modules), len(cupy.streams), len(cupy.launches)) == (1, 1, 3)
    set_stream(monkeypatch, 8)
    cupy_backend.run(launch())
    assert (len(cupy.modules), len(cupy.streams)) == (1, 2)
    assert cupy.launches[-1][1].cuda_stream == 8
    cupy_backend.run(launch(("AV_T=f16",)))
    assert len(cupy.modules) == 2


def test_cupy_before_the_stream_protocol(cupy, monkeypatch):
    older = Listening(protocol=False)
    monkeypatch.setitem(sys.modules, "cupy", older)
    cupy_backend.run(launch())
    assert older.launches[0][1] == 7


def test_cuda_tensors_go_through_cupy_where_it_works(cupy):
    assert backend("cuda") == "cupy"
    assert backend("mps") == backend("meta") == "reference"


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        ("torch", "PyTorch finds no CUDA device"),
        ("import", r"cupy cannot be imported .*pip install 'streamavis\[cuda13\]'"),
        ("driver", "cupy 14.0 finds no CUDA device"),
    ],
)
def test_without_cupy_one_sentence_is_logged(cupy, monkeypatch, caplog, breaks, reason):
    if breaks == "torch":
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    elif breaks == "import":
        monkeypatch.setitem(sys.modules, "cupy", None)
    else:
        monkeypatch.setitem(sys.modules, "cupy", Listening(gpu=False))
    with caplog.at_level(logging.INFO, logger="streamavis_kernels"):
        assert [backend("cuda") for _ in range(2)] == ["reference"] * 2
    assert len(caplog.records) == 1
    monkeypatch.setenv("STREAMAVIS_KERNELS", "cupy")
    _choose.cache_clear()
    with pytest.raises(KernelBackendError, match=reason):
        backend("cuda")
    _choose.cache_clear()
    with pytest.raises(KernelBackendError, match=reason):
        backend("cpu")


@needs_compiler
def test_the_environment_chooses_for_gpus_too(cupy, monkeypatch):
    for wanted, expected in (("native", "reference"), ("reference", "reference"), ("cupy", "cupy")):
        monkeypatch.setenv("STREAMAVIS_KERNELS", wanted)
        _choose.cache_clear()
        assert backend("cuda") == expected


def test_a_source_is_whole_and_each_header_is_in_it_once():
    for path in CSRC.glob("*.cu"):
        text = source(path)
        assert text.count("AV_KERNEL(") - text.count("define AV_KERNEL(") == 1
        assert f"\n{path.stem}(" in text, "a file defines the kernel it is named after"
        assert text.count("constexpr u32 WHOLE_WARP") == 1
        assert "#include" not in text


def test_every_source_has_variants_and_every_variant_a_source():
    assert {v.kernel for v in VARIANTS} == {path.stem for path in CSRC.glob("*.cu")}
    assert len(set(map(str, VARIANTS))) == len(VARIANTS)
    assert all(v.path.exists() for v in VARIANTS)
