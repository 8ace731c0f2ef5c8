// Multi-scale deformable attention (Deformable DETR, equation 3): bilinear, zero outside.
//   out[b,q,m,:] = sum over samples s of weights[b,q,m,s] * bilinear(value[b,:,m,:], locations[b,q,m,s])
#include "sampling.h"

AV_KERNEL(THREADS, 4)
deform_attn(const T* __restrict__ value, AV_STRUCT Levels levels, const R* __restrict__ locations,
            const R* __restrict__ weights, T* __restrict__ out, int S, int Q, i64 rows) {
  const Place place = find_place(Q, rows);
  const R* xy = locations + place.row * N * 2;
  const R* share = weights + place.row * N;
  A sum[VEC] = {};
  gather(value + (i64)place.b * S * PIXEL + place.m * D, place, [&](int s) {
    const int l = s / P, w = levels.w[l], h = levels.h[l];
    const A x = widen(xy[2 * s]) * w - (A).5, y = widen(xy[2 * s + 1]) * h - (A).5;
    return find_corners(x, y, w, h, levels.start[l], widen(share[s]));
  }, sum);
  if (place.live && place.lane < WIDTH) store<T>(out + place.row * D + place.lane * VEC, sum);
}
