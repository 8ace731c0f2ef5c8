"""Runs the kernels' tests with the address sanitizer: `python -m kernel_checks.sanitize`.

The emulated CUDA sources and the native C++ are built anew, so that every access outside of a
tensor ends the run with the line that made it. First it is seen that this works: a launch whose
values are 64 bytes too short has to fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

_ROOT = Path(__file__).parents[2]
_CHECKS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-g1")
# All that is emulated, and the native C++: of `deform_attn.cpp`, which takes ten seconds to build
# for each shape, what tries every function once.
_TESTS = (
    "test_sampling_kernels.py",
    "test_frame_prep.py",
    "test_mask_post.py",
    "test_deform_attn.py::test_gradcheck",
    "test_deform_attn.py::test_strides_do_not_matter",
)

# A launch that reads the last pixel; argv[1] bytes are missing at the end of the values.
_PLANTED = """
import sys, ctypes, torch
from kernel_checks.emulator import Emulator
from streamavis_kernels.sampling import cuda
size = 4 * 4 * 8 * 4
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
place = libc.malloc(size - int(sys.argv[1]))
values = (ctypes.c_float * (size // 4)).from_address(place)
value = torch.frombuffer(values, dtype=torch.float32).view(1, 16, 1, 8)
locations = torch.full((1, 1, 1, 1, 1, 2), 0.875)
cuda.deform_attn(Emulator(), value, [4, 4], locations, torch.ones(1, 1, 1, 1, 1))
"""


def _environment(cache: str) -> dict[str, str] | None:
    """What makes a process build and run with the sanitizers; None without g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    libraries = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return os.environ | {
        "CXX": f"{compiler} {' '.join(_CHECKS)}",
        "STREAMAVIS_CACHE": cache,
        "LD_PRELOAD": " ".join(libraries),
        # Python leaks at exit by design, and fibres change stacks.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "PYTHONPATH": os.pathsep.join([str(_ROOT / "kernels"), os.environ.get("PYTHONPATH", "")]),
    }


def main() -> int:
    with tempfile.TemporaryDirectory() as cache:
        environment = _environment(cache)
        if environment is None:
            print("skipped: the sanitizers are g++'s, and there is no g++ here")
            return 0
        for missing in (0, 64):
            command = [sys.executable, "-c", _PLANTED, str(missing)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            seen = "heap-buffer-overflow" in done.stderr
            if seen != bool(missing) or (done.returncode == 0) == bool(missing):
                print(done.stderr, file=sys.stderr)
                print(f"values short by {missing} bytes: the sanitizer is wrong", file=sys.stderr)
                return 1
        print("a planted overrun is seen", flush=True)
        tests = [str(_ROOT / "tests" / "kernels" / name) for name in _TESTS]
        # They ask about Python, need 6 GB, or are other types through the same lines.
        left_out = "not opcheck and not thirty_one and not value_type0 and not value_type3"
        chosen = ["-k", left_out, "-q", "-rN", "-p", "no:cacheprovider", "--timeout", "300"]
        command = [sys.executable, "-m", "pytest", *chosen, *tests]
        return subprocess.run(command, env=environment, cwd=_ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
