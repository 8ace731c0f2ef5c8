// Multi-scale deformable attention on a CPU: bilinear gathers from levels, and their gradients.
//
//   out[b,q,m,:] = sum over samples s of weight[b,q,m,s] * bilinear(value[b,:,m,:], place[b,q,m,s])
//
// Compiled once per shape: -DAV_ACC=float|double and -DAV_L -DAV_P -DAV_D -DAV_M (levels, points,
// head width, heads). No header is included, so any C++17 compiler with OpenMP is enough and takes
// a second. Work is cut by batch entry, head and (forward only) tile of queries: a head's map stays
// in the cache, and each gradient has one writer and one order, whatever the number of threads.

using Acc = AV_ACC;
using Index = long long;
constexpr int L = AV_L, P = AV_P, D = AV_D, M = AV_M;
constexpr int N = L * P;      // samples of one query and head
constexpr int PIXEL = M * D;  // elements from one position to the next
constexpr Index TILE = 64;    // queries per job of the forward pass

#define AV_INLINE static inline __attribute__((always_inline))

// The channels of one head, as V registers of W: the widest that divides D, up to 32 bytes (64 made
// the backward pass slower and the forward pass no faster on a Zen 4).
#if defined(__AVX__)
constexpr int REGISTER = 32;
#else
constexpr int REGISTER = 16;
#endif
constexpr int lanes(int w) { return w * (int)sizeof(Acc) > REGISTER || D % w ? lanes(w / 2) : w; }
constexpr int W = lanes(8), V = D / W;
typedef Acc Vec __attribute__((vector_size(W * sizeof(Acc)), aligned(sizeof(Acc)), may_alias));

AV_INLINE float av_floor(float x) { return __builtin_floorf(x); }
AV_INLINE double av_floor(double x) { return __builtin_floor(x); }

// exp for x <= 0. The float version is written out because the compiler can vectorise it, which it
// cannot do with a call to the library: Cephes' polynomial, within 2 units in the last place.
AV_INLINE double av_exp(double x) { return __builtin_exp(x); }
AV_INLINE float av_exp(float x) {
  const float c = x < -87.f ? -87.f : x;  // keeps NaN; e^-87 is the smallest normal number
  const float n = __builtin_floorf(c * 1.44269504088896341f + .5f);
  const float r = c - n * .693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  return p * __builtin_bit_cast(float, (unsigned)((int)n + 127) << 23);
}

// What a sample needs to know of its level, laid out per sample so that loops over N vectorise.
struct Levels {
  Acc w[N], h[N];
  int wi[N], hi[N], start[N];

  explicit Levels(const int* shapes) {  // (h, w) of each level
    for (int l = 0, first = 0; l < L; first += shapes[2 * l] * shapes[2 * l + 1], ++l)
      for (int s = l * P; s < (l + 1) * P; ++s) {
        h[s] = hi[s] = shapes[2 * l];
        w[s] = wi[s] = shapes[2 * l + 1];
        start[s] = first;
      }
  }
};

// The samples of one query and head: where (pixels of the level, 0 = first centre), and how much.
struct Samples {
  Acc x[N], y[N], weight[N];
};

// The four neighbours of each sample (left-up, right-up, left-down, right-down): position, share,
// and whether it lies in the level. One that does not has share 0 and points at position 0.
struct Corners {
  Acc ax[N], ay[N], share[4][N];
  int row[4][N], inside[4][N];
};

AV_INLINE void find_corners(const Levels& level, const Samples& at, Corners& to) {
#pragma omp simd
  for (int s = 0; s < N; ++s) {
    // Far-out, infinite and NaN places fail this test; -2 has no neighbour inside either.
    const bool near =
        (at.x[s] > -1) & (at.y[s] > -1) & (at.x[s] < level.w[s]) & (at.y[s] < level.h[s]);
    const Acc x = near ? at.x[s] : -2, y = near ? at.y[s] : -2;
    const Acc fx = av_floor(x), fy = av_floor(y), ax = x - fx, ay = y - fy;
    const int x0 = (int)fx, y0 = (int)fy;
    const int left = x0 >= 0, right = (x0 >= -1) & (x0 + 1 < level.wi[s]);
    const int up = y0 >= 0, down = (y0 >= -1) & (y0 + 1 < level.hi[s]);
    const int row = level.start[s] + y0 * level.wi[s] + x0;
    to.ax[s] = ax, to.ay[s] = ay;
    to.inside[0][s] = left & up, to.inside[1][s] = right & up;
    to.inside[2][s] = left & down, to.inside[3][s] = right & down;
    to.row[0][s] = left & up ? row : 0, to.row[1][s] = right & up ? row + 1 : 0;
    to.row[2][s] = left & down ? row + level.wi[s] : 0;
    to.row[3][s] = right & down ? row + level.wi[s] + 1 : 0;
    to.share[0][s] = left & up ? (1 - ax) * (1 - ay) : 0;
    to.share[1][s] = right & up ? ax * (1 - ay) : 0;
    to.share[2][s] = left & down ? (1 - ax) * ay : 0;
    to.share[3][s] = right & down ? ax * ay : 0;
  }
}

AV_INLINE void gather(const Acc* value, const Samples& at, const Corners& to, const Acc* gate,
                      Acc* out) {
  Vec sum[V] = {};
#pragma GCC unroll 4
  for (int s = 0; s < N; ++s)
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const Vec* v = (const Vec*)(value + (Index)to.row[c][s] * PIXEL);
      const Acc share = to.share[c][s] * at.weight[s];
#pragma GCC unroll 16
      for (int k = 0; k < V; ++k) sum[k] += share * v[k];
    }
  for (int k = 0; k < V; ++k) ((Vec*)out)[k] = gate ? sum[k] * ((const Vec*)gate)[k] : sum[k];
}

// Gradients of one query and head by its samples' weights, x and y (in pixels; x and y without
// their factor `weight`), and the addition to the gradient of the value.
AV_INLINE void scatter(const Acc* value, const Samples& at, const Corners& to, const Acc* grad_out,
                       const Acc* gate, Acc* grad_value, Samples& grad) {
  Vec g[V];
  for (int k = 0; k < V; ++k) {
    g[k] = ((const Vec*)grad_out)[k];
    if (gate) g[k] *= ((const Vec*)gate)[k];
  }
  Acc dot[4][N];  // <grad, value at the corner>
  for (int s = 0; s < N; ++s)
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const Index at_row = (Index)to.row[c][s] * PIXEL;
      const Vec* v = (const Vec*)(value + at_row);
      Vec* gv = (Vec*)(grad_value + at_row);
      const Acc share = to.share[c][s] * at.weight[s];
      Vec product = {};
#pragma GCC unroll 16
      for (int k = 0; k < V; ++k) {
        product += g[k] * v[k];
        gv[k] += share * g[k];
      }
      Acc sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int i = 0; i < W; ++i) sum += product[i];
      dot[c][s] = sum;
    }
#pragma omp simd
  for (int s = 0; s < N; ++s) {
    const Acc a = to.inside[0][s] ? dot[0][s] : 0, b = to.inside[1][s] ? dot[1][s] : 0;
    const Acc c = to.inside[2][s] ? dot[2][s] : 0, d = to.inside[3][s] ? dot[3][s] : 0;
    const Acc ax = to.ax[s], ay = to.ay[s];
    grad.weight[s] = (1 - ay) * ((1 - ax) * a + ax * b) + ay * ((1 - ax) * c + ax * d);
    grad.x[s] = (1 - ay) * (b - a) + ay * (d - c);
    grad.y[s] = (1 - ax) * (c - a) + ax * (d - b);
  }
}

// Samples given as locations in [0, 1] and weights.
struct Located {
  const Acc *locations, *weights;
  Acc *grad_locations, *grad_weights;

  const Acc* gate(Index, Index) const { return nullptr; }

  void load(const Levels& level, Index b, Index q, Index m, Index Q, Samples& to) const {
    const Index first = ((b * Q + q) * M + m) * N;
    const Acc* place = locations + first * 2;
    for (int s = 0; s < N; ++s) {
      to.x[s] = place[2 * s] * level.w[s] - Acc(.5);
      to.y[s] = place[2 * s + 1] * level.h[s] - Acc(.5);
      to.weight[s] = weights[first + s];
    }
  }

  void store(const Levels& level, Index b, Index q, Index m, Index Q, const Samples& at,
             const Samples& grad) const {
    const Index first = ((b * Q + q) * M + m) * N;
    Acc* place = grad_locations + first * 2;
    for (int s = 0; s < N; ++s) {
      place[2 * s] = grad.x[s] * at.weight[s] * level.w[s];
      place[2 * s + 1] = grad.y[s] * at.weight[s] * level.h[s];
      grad_weights[first + s] = grad.weight[s];
    }
  }
};

// Samples given as raw projections: M*N offsets (x, y) in pixels around reference points, then M*N
// logits, to which sound may add a bias; sound may also scale each channel of the result.
struct Projected {
  const Acc *projections, *points;
  Index points_stride;  // from one batch entry to the next: 0 where all share the points
  const Acc *bias, *gates;
  Acc* grad_projections;

  const Acc* gate(Index b, Index m) const { return gates ? gates + b * PIXEL + m * D : nullptr; }

  void load(const Levels& level, Index b, Index q, Index m, Index Q, Samples& to) const {
    const Acc* offset = projections + (b * Q + q) * M * N * 3 + m * N * 2;
    const Acc* logit = projections + (b * Q + q) * M * N * 3 + M * N * 2 + m * N;
    const Acc* point = points + b * points_stride + q * L * 2;
    Acc top = logit[0] + (bias ? bias[(b * M + m) * N] : 0), sum = 0;
    for (int s = 0; s < N; ++s) {
      // (point + offset / size) * size - 0.5: the division cancels
      to.x[s] = point[s / P * 2] * level.w[s] + offset[2 * s] - Acc(.5);
      to.y[s] = point[s / P * 2 + 1] * level.h[s] + offset[2 * s + 1] - Acc(.5);
      to.weight[s] = logit[s] + (bias ? bias[(b * M + m) * N + s] : 0);
      top = to.weight[s] > top ? to.weight[s] : top;
    }
#pragma omp simd reduction(+ : sum)
    for (int s = 0; s < N; ++s) sum += to.weight[s] = av_exp(to.weight[s] - top);
    for (int s = 0; s < N; ++s) to.weight[s] /= sum;
  }

  void store(const Levels&, Index b, Index q, Index m, Index Q, const Samples& at,
             const Samples& grad) const {
    Acc* offset = grad_projections + (b * Q + q) * M * N * 3 + m * N * 2;
    Acc* logit = grad_projections + (b * Q + q) * M * N * 3 + M * N * 2 + m * N;
    Acc mean = 0;
    for (int s = 0; s < N; ++s) mean += at.weight[s] * grad.weight[s];
    for (int s = 0; s < N; ++s) {
      offset[2 * s] = grad.x[s] * at.weight[s];
      offset[2 * s + 1] = grad.y[s] * at.weight[s];
      logit[s] = at.weight[s] * (grad.weight[s] - mean);
    }
  }
};

template <class Source>
AV_INLINE void forward(const Acc* value, const int* shapes, const Source source, Acc* out, Index B,
                       Index S, Index Q, int threads) {
  const Index tiles = (Q + TILE - 1) / TILE;
  const Levels level(shapes);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (Index job = 0; job < B * M * tiles; ++job) {
    const Index tile = job % tiles, m = job / tiles % M, b = job / tiles / M;
    const Index end = (tile + 1) * TILE < Q ? (tile + 1) * TILE : Q;
    Samples at;
    Corners to;
    for (Index q = tile * TILE; q < end; ++q) {
      source.load(level, b, q, m, Q, at);
      find_corners(level, at, to);
      gather(value + b * S * PIXEL + m * D, at, to, source.gate(b, m),
             out + (b * Q + q) * PIXEL + m * D);
    }
  }
}

template <class Source>
AV_INLINE void backward(const Acc* value, const int* shapes, const Source source,
                        const Acc* grad_out, Acc* grad_value, Index B, Index S, Index Q,
                        int threads) {
  const Levels level(shapes);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (Index job = 0; job < B * M; ++job) {
    const Index m = job % M, b = job / M, map = b * S * PIXEL + m * D;
    Samples at, grad;
    Corners to;
    for (Index q = 0; q < Q; ++q) {
      source.load(level, b, q, m, Q, at);
      find_corners(level, at, to);
      scatter(value + map, at, to, grad_out + (b * Q + q) * PIXEL + m * D, source.gate(b, m),
              grad_value + map, grad);
      source.store(level, b, q, m, Q, at, grad);
    }
  }
}

// `grad_value` is added to and must come zeroed; the other results are overwritten.
extern "C" {
void deform_attn(const Acc* value, const int* shapes, const Acc* locations, const Acc* weights,
                 Acc* out, Index B, Index S, Index Q, int threads) {
  forward(value, shapes, Located{locations, weights, nullptr, nullptr}, out, B, S, Q, threads);
}

void deform_attn_backward(const Acc* grad_out, const Acc* value, const int* shapes,
                          const Acc* locations, const Acc* weights, Acc* grad_value,
                          Acc* grad_locations, Acc* grad_weights, Index B, Index S, Index Q,
                          int threads) {
  const Located source{locations, weights, grad_locations, grad_weights};
  backward(value, shapes, source, grad_out, grad_value, B, S, Q, threads);
}

void audio_deform_attn(const Acc* value, const int* shapes, const Acc* projections,
                       const Acc* points, Index points_stride, const Acc* bias, const Acc* gate,
                       Acc* out, Index B, Index S, Index Q, int threads) {
  const Projected source{projections, points, points_stride, bias, gate, nullptr};
  forward(value, shapes, source, out, B, S, Q, threads);
}

void audio_deform_attn_backward(const Acc* grad_out, const Acc* value, const int* shapes,
                                const Acc* projections, const Acc* points, Index points_stride,
                                const Acc* bias, const Acc* gate, Acc* grad_value,
                                Acc* grad_projections, Index B, Index S, Index Q, int threads) {
  const Projected source{projections, points, points_stride, bias, gate, grad_projections};
  backward(value, shapes, source, grad_out, grad_value, B, S, Q, threads);
}
}
