// Where packed masks change, in order, from 0 before the first pixel: COCO's run lengths are the
// differences. One block a mask. `counts` may pass `capacity`; only that many edges are written.
#include "dialect.h"

constexpr int THREADS = 512, WARPS = THREADS / 32, WORDS = 4;  // words of a thread at a time

AV_KERNEL(THREADS, 1)
mask_edges(const u32* __restrict__ bits, int words, int pixels, int* __restrict__ edges,
           int capacity, int* __restrict__ counts) {
  AV_SHARED int in_warp[WARPS];
  const int n = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const u32* mask = bits + (i64)n * words;
  int* out = edges + (i64)n * capacity;
  int found = 0;  // before this round
  for (int round = 0; round < words; round += THREADS * WORDS) {
    const int first = round + threadIdx.x * WORDS;
    u32 edge[WORDS];
    int count = 0;
    u32 last = first > 0 && first <= words ? mask[first - 1] >> 31 : 0u;
#pragma unroll
    for (int k = 0; k < WORDS; ++k) {
      const u32 word = first + k < words ? mask[first + k] : 0u;
      const int left = pixels - (first + k) * 32;  // in and after this word
      edge[k] = word ^ (word << 1 | last);
      if (left < 32) edge[k] &= left > 0 ? (1u << left) - 1 : 0u;
      last = word >> 31;
      count += __popc(edge[k]);
    }
    int until = count;  // of this warp up to and with this thread
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      const int before = __shfl_up_sync(WHOLE_WARP, until, d);
      if (lane >= d) until += before;
    }
    if (lane == 31) in_warp[warp] = until;
    __syncthreads();
    int at = found + until - count;
    for (int k = 0; k < WARPS; ++k) {
      const int of_warp = in_warp[k];
      if (k < warp) at += of_warp;
      found += of_warp;
    }
#pragma unroll
    for (int k = 0; k < WORDS; ++k)
      for (u32 left = edge[k]; left; left &= left - 1, ++at)
        if (at < capacity) out[at] = (first + k) * 32 + __ffs((int)left) - 1;
    __syncthreads();  // in_warp is free again
  }
  if (threadIdx.x == 0) counts[n] = found;
}
