// Deformable attention as it is usually written, to compare with: one thread for each channel of the
// output, which finds every place and weight for itself and reads its neighbours one by one.
//
//   -DAV_T storage of values and output    -DAV_L -DAV_P -DAV_D -DAV_M levels, points, width, heads
#include "dialect.h"

typedef AV_T T;
constexpr int L = AV_L, P = AV_P, D = AV_D, M = AV_M;
struct Levels { int h[L], w[L], start[L]; };

AV_KERNEL(256, 1)
plain_deform_attn(const T* __restrict__ value, AV_STRUCT Levels levels,
                  const float* __restrict__ locations, const float* __restrict__ weights,
                  T* __restrict__ out, int S, int Q, i64 rows) {
  const i64 at = (i64)blockIdx.x * 256 + threadIdx.x;
  if (at >= rows * D) return;
  const i64 row = at / D, b = row / M / Q;
  const T* map = value + b * S * M * D + at % (M * D);
  float sum = 0;
  for (int s = 0; s < L * P; ++s) {
    const int l = s / P, w = levels.w[l], h = levels.h[l];
    const float x = locations[(row * L * P + s) * 2] * w - .5f;
    const float y = locations[(row * L * P + s) * 2 + 1] * h - .5f;
    if (!(x > -1 && y > -1 && x < w && y < h)) continue;
    const int x0 = (int)av_floor(x), y0 = (int)av_floor(y);
    const float ax = x - x0, ay = y - y0;
    float found = 0;
    for (int k = 0; k < 4; ++k) {
      const int xk = x0 + k % 2, yk = y0 + k / 2;
      if (xk < 0 || yk < 0 || xk >= w || yk >= h) continue;
      const float share = (k % 2 ? ax : 1 - ax) * (k / 2 ? ay : 1 - ay);
      found += share * widen(map[(i64)(levels.start[l] + yk * w + xk) * M * D]);
    }
    sum += weights[row * L * P + s] * found;
  }
  narrow(sum, out[at]);
}
