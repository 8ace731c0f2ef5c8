// For each pixel the kept track that is most surely there: the greatest score * probability of those
// whose mask holds it, the first of equals; 255 where there is none. Row by row, four to a thread.
#include "masks.h"

constexpr int VEC = 4;

AV_KERNEL(128, 8)
mask_ids(const T* __restrict__ logits, const i64* __restrict__ kept,
         const float* __restrict__ scores, int count, AV_STRUCT Grid grid, u8* __restrict__ ids) {
  const int y = blockIdx.y, width = grid.columns.pixels;
  const int x0 = (blockIdx.x * 128 + threadIdx.x) * VEC;
  float best[VEC] = {};
  u32 id[VEC];
#pragma unroll
  for (int i = 0; i < VEC; ++i) id[i] = 255;
  for (int n = 0; n < count; ++n) {
    const T* mask = logits + kept[n] * grid.mask;
#pragma unroll
    for (int i = 0; i < VEC; ++i) {
      if (x0 + i >= width) continue;
      const float logit = logit_at(mask, grid, y, x0 + i);
      const float sure = scores[n] / (1.f + av_exp(-logit));
      if (logit > 0 && sure > best[i]) best[i] = sure, id[i] = (u32)n;
    }
  }
#pragma unroll
  for (int i = 0; i < VEC; ++i)
    if (x0 + i < width) ids[(i64)y * width + x0 + i] = (u8)id[i];
}
