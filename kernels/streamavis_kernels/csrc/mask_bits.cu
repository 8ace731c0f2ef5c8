// Masks of the kept tracks at full size, one bit a pixel, and what is measured on them.
//
// Pixel (y, x) is bit i % 32 of word i / 32, i = x * height + y: the order of COCO's run lengths.
// `stats` (kept, 7): area, least x, least y, greatest x, greatest y, sum of x, sum of y; it comes as
// 0, width, height, -1, -1, 0, 0.
#include "masks.h"

constexpr int WARPS = 8, WORDS = 16;  // of a block; words that a warp makes one after the other

AV_KERNEL(32 * WARPS, 4)
mask_bits(const T* __restrict__ logits, const i64* __restrict__ kept, AV_STRUCT Grid grid,
          u32* __restrict__ bits, int words, i64* __restrict__ stats) {
  AV_SHARED i64 part[WARPS][7];
  const int n = blockIdx.y, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const T* mask = logits + kept[n] * grid.mask;
  const int height = grid.rows.pixels, total = height * grid.columns.pixels;
  const int start = (blockIdx.x * WARPS + warp) * WORDS;
  int area = 0, x0 = grid.columns.pixels, y0 = height, x1 = -1, y1 = -1;
  i64 sum_x = 0, sum_y = 0;
  for (int w = start; w < start + WORDS && w < words; ++w) {  // the same for the whole warp
    const int i = w * 32 + lane;
    const int x = i < total ? (int)((u32)i / (u32)height) : 0, y = i - x * height;
    const bool on = i < total && logit_at(mask, grid, y, x) > 0;
    const u32 word = __ballot_sync(WHOLE_WARP, on);
    if (lane == 0) bits[(i64)n * words + w] = word;
    if (!on) continue;
    ++area, sum_x += x, sum_y += y;
    x0 = av_min(x0, x), y0 = av_min(y0, y), x1 = av_max(x1, x), y1 = av_max(y1, y);
  }
  area = warp_sum(area, 32), sum_x = warp_sum(sum_x, 32), sum_y = warp_sum(sum_y, 32);
  x0 = -warp_max(-x0, 32), y0 = -warp_max(-y0, 32), x1 = warp_max(x1, 32), y1 = warp_max(y1, 32);
  if (lane == 0) {
    i64* p = part[warp];
    p[0] = area, p[1] = x0, p[2] = y0, p[3] = x1, p[4] = y1, p[5] = sum_x, p[6] = sum_y;
  }
  __syncthreads();
  if (threadIdx.x >= 7) return;
  const int what = threadIdx.x;
  i64 v = part[0][what];
  for (int k = 1; k < WARPS; ++k) {
    const i64 other = part[k][what];
    v = what == 1 || what == 2 ? av_min(v, other) : what == 3 || what == 4 ? av_max(v, other) : v + other;
  }
  i64* to = stats + n * 7 + what;
  if (what == 1 || what == 2) atomicMin(to, v);
  else if (what == 3 || what == 4) atomicMax(to, v);
  else atomicAdd((unsigned long long*)to, (unsigned long long)v);
}
