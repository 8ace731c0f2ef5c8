"""Breaks the kernels and sees that the tests notice: `python -m kernel_checks.mutations`.

Each fault is planted in a copy of the tree, and the tests of that kernel run on it. A fault that no
test notices is a hole in the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FAULTS", "Fault", "main"]

_ROOT = Path(__file__).parents[2]
_CSRC = Path("kernels/streamavis_kernels/csrc")


@dataclass(frozen=True)
class Fault:
    """A text in a source, and what stands there instead."""

    what: str
    file: str
    right: str
    wrong: str
    tests: str  # the file that has to notice


_SAMPLING, _FRAMES, _MASKS = "test_sampling_kernels.py", "test_frame_prep.py", "test_mask_post.py"
FAULTS = (
    Fault(
        "no barrier before the samples are read",
        *("sampling.h", "    __syncwarp();\n    if (WIDTH", "    if (WIDTH", _SAMPLING),
    ),
    Fault(
        "no barrier before samples are overwritten",
        *("sampling.h", "    if (first) __syncwarp();", "    ", _SAMPLING),
    ),
    Fault(
        "a neighbour off by one",
        *("sampling.h", "x0 + 1 < w ? ax", "x0 < w ? ax", _SAMPLING),
    ),
    Fault(
        "far-out places are not left out",
        *("sampling.h", "scale = near ? scale : (A)0;", ";", _SAMPLING),
    ),
    Fault(
        "threads past the end leave early",
        *("sampling.h", "  p.live = row < rows;", "  p.live = true;", _SAMPLING),
    ),
    Fault(
        "a stream's map begins in 32 bits",
        *("deform_attn.cu", "value + (i64)place.b * S * PIXEL", "value + place.b * S * PIXEL"),
        _SAMPLING,
    ),
    Fault(
        "the softmax is not shifted by its maximum",
        *("audio_deform_attn.cu", "  top = warp_max(top, GROUP);", "  top = 0;", _SAMPLING),
    ),
    Fault(
        "sound is not added to the logits",
        *("audio_deform_attn.cu", "widen(logits[s]) + (heard ? heard[s] : (A)0) - top"),
        *("widen(logits[s]) - top", _SAMPLING),
    ),
    Fault(
        "all streams look from the first one's points",
        *("audio_deform_attn.cu", "place.b * points_stride", "0 * points_stride", _SAMPLING),
    ),
    Fault(
        "a gradient is summed over half of the threads",
        *("deform_attn_backward.cu", "warp_sum(near ? by_x : (A)0, GROUP)"),
        *("warp_sum(near ? by_x : (A)0, GROUP / 2)", _SAMPLING),
    ),
    Fault(
        "threads past the end add gradients too",
        *("deform_attn_backward.cu", "if (place.live && share != (A)0)", "if (share != (A)0)"),
        _SAMPLING,
    ),
    Fault(
        "no antialiasing",
        *("frame_prep.cu", "s.reach = av_max(step, 1.f);", "s.reach = 1.f;", _FRAMES),
    ),
    Fault(
        "grey levels are cut off, not rounded",
        *("frame_prep.cu", "av_floor(sum[k] / total + .5f)", "av_floor(sum[k] / total)", _FRAMES),
    ),
    Fault(
        "padding is not zero",
        *("frame_prep.cu", "narrow(0.f, result[k]);", "narrow(1.f, result[k]);", _FRAMES),
    ),
    Fault(
        "chroma of the wrong row",
        *("frame_prep.cu", "from.height + y / 2", "from.height + (y + 1) / 2", _FRAMES),
    ),
    Fault(
        "no barrier before the warps' measures are read",
        *("mask_bits.cu", "  __syncthreads();\n", "", _MASKS),
    ),
    Fault(
        "pixels past the end are counted",
        *("mask_bits.cu", "const bool on = i < total && ", "const bool on = ", _MASKS),
    ),
    Fault(
        "no barrier before the warps' counts are read",
        *("mask_edges.cu", "in_warp[warp] = until;\n    __syncthreads();"),
        *("in_warp[warp] = until;", _MASKS),
    ),
    Fault(
        "no barrier before the warps' counts are overwritten",
        *("mask_edges.cu", "    __syncthreads();  // in_warp is free again\n", "", _MASKS),
    ),
    Fault(
        "the last pixel of a word is forgotten",
        *(
            "mask_edges.cu",
            "first > 0 && first <= words ? mask[first - 1] >> 31 : 0u",
            "0u",
            _MASKS,
        ),
    ),
    Fault(
        "edges past the capacity are written",
        *("mask_edges.cu", "if (at < capacity) out", "out", _MASKS),
    ),
    Fault(
        "the last of equals wins",
        *("mask_ids.cu", "sure > best[i]", "sure < best[i]", _MASKS),
    ),
)


def _tests_notice(tree: Path, fault: Fault) -> bool:
    environment = os.environ | {
        "STREAMAVIS_CACHE": str(tree / "cache"),
        "PYTHONPATH": os.pathsep.join(str(tree / part) for part in ("", "kernels")),
    }
    tests = str(tree / "tests" / "kernels" / fault.tests)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests]
    done = subprocess.run(
        [*command, "-k", "emulated or order or thirty_one"],
        env=environment,
        cwd=tree,
        capture_output=True,
    )
    return done.returncode != 0


def main() -> int:
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for part in ("kernels", "tests"):
            shutil.copytree(_ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(_ROOT / "pyproject.toml", tree)
        for fault in FAULTS:
            source = tree / _CSRC / fault.file
            text = source.read_text()
            if text.count(fault.right) != 1:
                print(f"{fault.file}: {fault.right!r} does not stand there once", file=sys.stderr)
                return 1
            source.write_text(text.replace(fault.right, fault.wrong))
            noticed = _tests_notice(tree, fault)
            source.write_text(text)
            print(f"{'noticed' if noticed else 'MISSED '}  {fault.file}: {fault.what}", flush=True)
            missed += [] if noticed else [fault]
    print(f"{len(FAULTS) - len(missed)} of {len(FAULTS)} faults noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
