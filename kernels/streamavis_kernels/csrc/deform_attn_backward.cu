// Gradients of deform_attn by value, locations and weights.
//
// Many samples may touch a position, so `grad_value` is added to atomically, in no fixed order: it
// comes zeroed, in the type of the sums. The other results have one writer each.
#include "sampling.h"

// Adds 16 bytes' worth of channels.
AV_FN void add(float* p, float share, const float (&g)[VEC]) {
#pragma unroll
  for (int i = 0; i < VEC; i += 4)
    add4(p + i, share * g[i], share * g[i + 1], share * g[i + 2], share * g[i + 3]);
}
AV_FN void add(double* p, double share, const double (&g)[VEC]) {
#pragma unroll
  for (int i = 0; i < VEC; ++i) atomicAdd(p + i, share * g[i]);
}

AV_KERNEL(THREADS, 4)
deform_attn_backward(const T* __restrict__ grad_out, const T* __restrict__ value,
                     AV_STRUCT Levels levels, const R* __restrict__ locations,
                     const R* __restrict__ weights, A* __restrict__ grad_value,
                     A* __restrict__ grad_locations, A* __restrict__ grad_weights, int S, int Q,
                     i64 rows) {
  const Place place = find_place(Q, rows);
  const bool holds = place.lane < WIDTH;
  const i64 map = (i64)place.b * S * PIXEL + place.m * D + place.lane * VEC;
  A grad[VEC] = {};
  if (holds) load<T>(grad_out + place.row * D + place.lane * VEC, grad);
#pragma unroll 1
  for (int s = 0; s < N; ++s) {
    const i64 sample = place.row * N + s;
    const int l = s / P, w = levels.w[l], h = levels.h[l];
    const A weight = widen(weights[sample]);
    const A x = widen(locations[2 * sample]) * w - (A).5;
    const A y = widen(locations[2 * sample + 1]) * h - (A).5;
    const Corners c = find_corners(x, y, w, h, levels.start[l], (A)1);
    A dot[4] = {};  // <grad, value at the corner>
    if (holds) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        A v[VEC];
        load<T>(value + map + c.at.of[k], v);
#pragma unroll
        for (int i = 0; i < VEC; ++i) dot[k] += grad[i] * v[i];
        const A share = weight * c.share.of[k];
        if (place.live && share != (A)0) add(grad_value + map + c.at.of[k], share, grad);
      }
    }
    const bool near = x > (A)-1 && y > (A)-1 && x < (A)w && y < (A)h;
    const A fx = av_floor(x), fy = av_floor(y), ax = x - fx, ay = y - fy;
    const bool left = fx >= 0, right = fx + 1 < (A)w, up = fy >= 0, down = fy + 1 < (A)h;
    const A lu = left && up ? dot[0] : (A)0, ru = right && up ? dot[1] : (A)0;
    const A ld = left && down ? dot[2] : (A)0, rd = right && down ? dot[3] : (A)0;
    A by_weight = ((A)1 - ay) * (((A)1 - ax) * lu + ax * ru) + ay * (((A)1 - ax) * ld + ax * rd);
    A by_x = (((A)1 - ay) * (ru - lu) + ay * (rd - ld)) * weight * w;
    A by_y = (((A)1 - ax) * (ld - lu) + ax * (rd - ru)) * weight * h;
    by_weight = warp_sum(near ? by_weight : (A)0, GROUP);
    by_x = warp_sum(near ? by_x : (A)0, GROUP);
    by_y = warp_sum(near ? by_y : (A)0, GROUP);
    if (place.live && place.lane == 0) {
      grad_weights[sample] = by_weight;
      grad_locations[2 * sample] = by_x, grad_locations[2 * sample + 1] = by_y;
    }
  }
}
