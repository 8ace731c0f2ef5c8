// Deformable attention from raw projections to gated heads in one launch.
//
// A row of `projections` is M*N offsets (x, y) in pixels of their level, then M*N logits. Sound adds
// `bias` (B, M, N) to the logits and multiplies the result by `gate` (B, M*D); both may be null.
// The factor of the softmax is taken out of the sum and applied once at the end.
#include "sampling.h"

AV_KERNEL(THREADS, 4)
audio_deform_attn(const T* __restrict__ value, AV_STRUCT Levels levels,
                  const R* __restrict__ projections, const A* __restrict__ points,
                  i64 points_stride,  // from one stream to the next; 0 = shared by all
                  const A* __restrict__ bias, const A* __restrict__ gate, T* __restrict__ out,
                  int S, int Q, i64 rows) {
  const Place place = find_place(Q, rows);
  const R* row = projections + ((i64)place.b * Q + place.q) * (M * N * 3);
  const R* offsets = row + place.m * N * 2;
  const R* logits = row + M * N * 2 + place.m * N;
  const A* point = points + place.b * points_stride + (i64)place.q * L * 2;
  const A* heard = bias ? bias + ((i64)place.b * M + place.m) * N : nullptr;

  A top = (A)-3e38f;
  for (int s = place.lane; s < N; s += GROUP)
    top = av_max(top, widen(logits[s]) + (heard ? heard[s] : (A)0));
  top = warp_max(top, GROUP);
  A total = 0, sum[VEC] = {};
  gather(value + (i64)place.b * S * PIXEL + place.m * D, place, [&](int s) {
    const A part = av_exp(widen(logits[s]) + (heard ? heard[s] : (A)0) - top);
    total += part;
    const int l = s / P, w = levels.w[l], h = levels.h[l];
    // (point + offset / size) * size - 0.5: the division cancels
    const A x = point[2 * l] * w + widen(offsets[2 * s]) - (A).5;
    const A y = point[2 * l + 1] * h + widen(offsets[2 * s + 1]) - (A).5;
    return find_corners(x, y, w, h, levels.start[l], part);
  }, sum);
  const A factor = (A)1 / warp_sum(total, GROUP);
  if (!place.live || place.lane >= WIDTH) return;
  const A* louder = gate ? gate + (i64)place.b * PIXEL + place.m * D + place.lane * VEC : nullptr;
#pragma unroll
  for (int i = 0; i < VEC; ++i) sum[i] *= factor * (louder ? louder[i] : (A)1);
  store<T>(out + place.row * D + place.lane * VEC, sum);
}
