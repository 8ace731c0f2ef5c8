"""The emulation of a GPU notices what a GPU would punish."""

import numpy as np
import pytest
import torch
from kernel_checks.emulator import EmulationError, Emulator
from runners import needs_compiler
from streamavis_kernels.launch import Launch, Variant, pointer, struct

pytestmark = needs_compiler


def run(tmp_path, body, *arguments, parameters="int* out", threads=64, grid=(1, 1, 1), seed=0):
    """Run a kernel of these parameters and body."""
    text = f'#include "dialect.h"\nAV_KERNEL(64, 1) probe({parameters}) {{\n{body}\n}}\n'
    (tmp_path / "probe.cu").write_text(text)
    Emulator(seed)(Launch(Variant("probe", (), tmp_path), grid, threads, arguments))


REVERSE = """
  AV_SHARED int shared[64];
  const int t = threadIdx.x;
  shared[t] = t;
  {barrier}
  out[t] = shared[63 - t];
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_block_barrier_orders_what_warps_share(tmp_path, seed):
    out = torch.zeros(64, dtype=torch.int32)
    run(tmp_path, REVERSE.format(barrier="__syncthreads();"), pointer(out), seed=seed)
    assert out.tolist() == list(range(63, -1, -1))


def test_a_missing_barrier_gives_a_wrong_result(tmp_path):
    out = torch.zeros(64, dtype=torch.int32)
    run(tmp_path, REVERSE.format(barrier=""), pointer(out))
    assert out.tolist() != list(range(63, -1, -1))


def test_a_missing_warp_barrier_gives_a_wrong_result(tmp_path):
    body = "AV_SHARED int s[64]; const int t = threadIdx.x; s[t] = t + 1; {} out[t] = s[t ^ 1];"
    out = torch.zeros(64, dtype=torch.int32)
    run(tmp_path, body.format("__syncwarp();"), pointer(out))
    assert out.tolist() == [(t ^ 1) + 1 for t in range(64)]
    run(tmp_path / ".." / tmp_path.name, body.format("/* */"), pointer(out.zero_()))
    assert out.tolist() != [(t ^ 1) + 1 for t in range(64)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if (threadIdx.x == 5) return; __syncthreads();", "block barrier is not reached"),
        (
            "if (threadIdx.x == 5) return; out[0] = __shfl_xor_sync(WHOLE_WARP, 1, 1);",
            "shuffle or warp barrier is not reached by the whole warp",
        ),
        ("load16((const char*)out + 4);", "a misaligned access"),
        ("store16((char*)out + 8, Word16());", "a misaligned access"),
    ],
)
def test_a_broken_rule_is_named(tmp_path, body, message):
    out = torch.zeros(64, dtype=torch.int32)
    with pytest.raises(EmulationError, match=message):
        run(tmp_path, body, pointer(out))


def test_a_block_is_whole_warps(tmp_path):
    with pytest.raises(EmulationError, match="not whole warps"):
        run(tmp_path, "", 0, threads=48)


def test_shuffles_and_ballots_cross_a_warp_only(tmp_path):
    out = torch.zeros(3, 64, dtype=torch.int32)
    body = """
      const int t = threadIdx.x;
      out[t] = __shfl_xor_sync(WHOLE_WARP, t, 3);
      out[64 + t] = __shfl_up_sync(WHOLE_WARP, t, 2u);
      out[128 + t] = (int)__ballot_sync(WHOLE_WARP, t % 32 < 3 + t / 32);
    """
    run(tmp_path, body, pointer(out), seed=7)
    assert out[0].tolist() == [t ^ 3 for t in range(64)]
    assert out[1].tolist() == [t - 2 if t % 32 >= 2 else t for t in range(64)]
    assert out[2].tolist() == [7] * 32 + [15] * 32


def test_arguments_arrive_as_they_are(tmp_path):
    parameters = "float* out, int a, i64 b, float c, AV_STRUCT Two d"
    text = """
      if (threadIdx.x) return;
      out[0] = a, out[1] = (float)(b >> 32), out[2] = c, out[3] = d.x[1];
      out[4] = gridDim.y, out[5] = blockDim.x;
    """
    out = torch.zeros(6)
    source = '#include "dialect.h"\nstruct Two { float x[2]; };\nAV_KERNEL(32, 1)\n'
    (tmp_path / "probe.cu").write_text(f"{source}probe({parameters}) {{ {text} }}")
    arguments = (pointer(out), np.int32(-3), 5 << 32, np.float32(0.5), struct([1, 2], np.float32))
    Emulator()(Launch(Variant("probe", (), tmp_path), (2, 3, 1), 32, arguments))
    assert out.tolist() == [-3, 5, 0.5, 2, 3, 32]
    assert pointer(None) == 0
