"""All that needs a GPU, in one command: `python -m kernel_checks.gpu [--json FILE]`.

The emulated tests run on the GPU through CuPy, with graphs and side streams; compute-sanitizer
looks for wrong accesses and races on the small ones; the benchmark writes its figures. Without a
GPU it says so and does nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from streamavis_kernels.cupy_backend import prepare
from streamavis_kernels.errors import KernelBackendError

from kernel_checks.gpu_bench import measure

__all__ = ["main"]

_ROOT = Path(__file__).parents[2]
_TESTS = [str(_ROOT / "tests" / "kernels")]
_PYTEST = [sys.executable, "-m", "pytest", "-q", "-m", "gpu"]
# Small ones: under the sanitizer a launch takes a thousand times as long.
_SMALL = ["-k", "size0 or views or strides or ids", "--timeout", "900"]


def _sanitized() -> bool:
    """True if no tool of compute-sanitizer finds anything, or there is none."""
    program = shutil.which("compute-sanitizer")
    if program is None:
        print("skipped: compute-sanitizer is not on PATH; it comes with the CUDA toolkit")
        return True
    for tool in ("memcheck", "racecheck"):
        print(f"compute-sanitizer {tool}", flush=True)
        command = [program, "--tool", tool, "--error-exitcode", "1", *_PYTEST, *_SMALL, *_TESTS]
        if subprocess.run(command, cwd=_ROOT).returncode:
            return False
    return True


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="kernel_checks.gpu")
    parser.add_argument("--json", type=Path, help="write the benchmark's figures here")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("skipped: PyTorch finds no CUDA device (torch.cuda.is_available() is False)")
        return 0
    try:
        prepare()
    except KernelBackendError as error:
        print(error, file=sys.stderr)
        return 1
    if subprocess.run([*_PYTEST, *_TESTS], cwd=_ROOT).returncode or not _sanitized():
        return 1
    figures = measure()
    for figure in figures:
        times = ", ".join(f"{name} {us} us" for name, us in figure["us"].items())
        height, width = figure["size"]
        print(
            f"{figure['operator']} {width}x{height} batch {figure['batch']} {figure['dtype']}: "
            f"{times}; floor {figure['floor_us']} us, {figure['above_floor']} above it"
        )
    if options.json:
        about = {
            "benchmark": "kernels on a GPU, microseconds per call by graph replay",
            "gpu": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "figures": figures,
        }
        options.json.write_text(json.dumps(about, indent=2) + "\n")
        print(f"wrote {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
