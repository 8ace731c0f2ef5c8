// Bilinear sampling of flattened levels: what the kernels that gather and scatter share.
//
//   -DAV_T storage of the values    -DAV_R storage of what says where and how much
//   -DAV_L -DAV_P -DAV_D -DAV_M levels, points, head width, heads    -DAV_THREADS of a block
//
// A group of threads computes one (stream, query, head): each thread holds 16 bytes of channels.
#pragma once
#include "dialect.h"

typedef AV_T T;
typedef AV_R R;
typedef AccOf<T>::type A;
constexpr int L = AV_L, P = AV_P, D = AV_D, M = AV_M, THREADS = AV_THREADS;
constexpr int N = L * P;       // samples of one query and head
constexpr int PIXEL = M * D;   // elements from one position to the next
constexpr int VEC = LANE<T>;   // channels of a thread
constexpr int WIDTH = D / VEC;  // threads that hold the channels of a head
constexpr int power_of_two(int n) { return n <= 1 ? 1 : 2 * power_of_two((n + 1) / 2); }
constexpr int GROUP = power_of_two(WIDTH);  // those and, for an odd width, some that only prepare
constexpr int GROUPS = THREADS / GROUP;
constexpr int CHUNK = N < 12 ? N : 12;  // samples prepared at a time
static_assert(D % VEC == 0 && GROUP <= 32 && THREADS % 32 == 0, "a head is 16 to 512 bytes wide");

struct Levels { int h[L], w[L], start[L]; };

// The four neighbours of a sample (left-up, right-up, left-down, right-down): elements from the
// start of the map, and share. One outside of the level has share 0 and the place of one inside.
struct alignas(16) Shares { A of[4]; };
struct alignas(16) Offsets { int of[4]; };
struct Corners { Shares share; Offsets at; };

// x, y in pixels of the level, 0 = centre of the first. Far-out, infinite and NaN places give 0.
AV_FN Corners find_corners(A x, A y, int w, int h, int start, A scale) {
  const bool near = x > (A)-1 && y > (A)-1 && x < (A)w && y < (A)h;
  x = near ? x : (A)0, y = near ? y : (A)0, scale = near ? scale : (A)0;
  const A fx = av_floor(x), fy = av_floor(y), ax = x - fx, ay = y - fy;
  const int x0 = (int)fx, y0 = (int)fy;
  const A left = x0 >= 0 ? (A)1 - ax : (A)0, right = x0 + 1 < w ? ax : (A)0;
  const A up = (y0 >= 0 ? (A)1 - ay : (A)0) * scale, down = (y0 + 1 < h ? ay : (A)0) * scale;
  const int xl = av_max(x0, 0), xr = av_min(x0 + 1, w - 1);
  const int yu = start + av_max(y0, 0) * w, yd = start + av_min(y0 + 1, h - 1) * w;
  Corners c;
  c.share.of[0] = up * left, c.share.of[1] = up * right;
  c.share.of[2] = down * left, c.share.of[3] = down * right;
  c.at.of[0] = (yu + xl) * PIXEL, c.at.of[1] = (yu + xr) * PIXEL;
  c.at.of[2] = (yd + xl) * PIXEL, c.at.of[3] = (yd + xr) * PIXEL;
  return c;
}

// Which (stream, query, head) a thread works on. Threads past the end do the last one again, so
// that every shuffle is complete, and are not `live`.
struct Place {
  int lane, group, b, q, m;
  i64 row;  // b, q, m in one
  bool live;
};
AV_FN Place find_place(int Q, i64 rows) {
  Place p;
  p.lane = threadIdx.x % GROUP, p.group = threadIdx.x / GROUP;
  const i64 row = (i64)blockIdx.x * GROUPS + p.group;
  p.live = row < rows;
  p.row = p.live ? row : rows - 1;
  p.m = (int)(p.row % M), p.q = (int)(p.row / M % Q), p.b = (int)(p.row / M / Q);
  return p;
}

// Sum of all samples over this thread's channels. `prepare(s)` gives the corners of a sample; each
// is called by one thread of the group and left in shared memory for the others.
template <class Prepare> AV_FN void gather(const T* map, const Place& place, Prepare prepare, A (&sum)[VEC]) {
  AV_SHARED Shares shares[GROUPS * (CHUNK + 1)];  // one more: fewer bank conflicts
  AV_SHARED Offsets offsets[GROUPS * (CHUNK + 1)];
  const int mine = place.group * (CHUNK + 1);
#pragma unroll 1
  for (int first = 0; first < N; first += CHUNK) {
    const int count = av_min(CHUNK, N - first);
    if (first) __syncwarp();  // all have read the last chunk
    for (int s = place.lane; s < count; s += GROUP) {
      const Corners c = prepare(first + s);
      shares[mine + s] = c.share, offsets[mine + s] = c.at;
    }
    __syncwarp();
    if (WIDTH < GROUP && place.lane >= WIDTH) continue;
#pragma unroll 4
    for (int s = 0; s < count; ++s) {
      const Shares share = shares[mine + s];
      const Offsets at = offsets[mine + s];
      A v[4][VEC];
#pragma unroll
      for (int c = 0; c < 4; ++c) load<T>(map + at.of[c] + place.lane * VEC, v[c]);
#pragma unroll
      for (int i = 0; i < VEC; ++i)
        sum[i] += share.of[0] * v[0][i] + share.of[1] * v[1][i] + share.of[2] * v[2][i] + share.of[3] * v[3][i];
    }
  }
}
