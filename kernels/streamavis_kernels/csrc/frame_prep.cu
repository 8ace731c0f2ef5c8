// Camera frames to network input in one pass: colours, antialiased resize, normalise, pad, layout.
//
//   -DAV_O storage of the output: u8 keeps grey levels, a float is normalised
//   -DAV_NV12 0: pixels of three bytes in any order and layout; 1: luma rows, then CbCr rows
//
// The filter is PIL's: a triangle as wide as the step between output pixels, one source pixel at
// the least. The result is rounded to a whole grey level, as PIL's is.
#include "dialect.h"

typedef AV_O O;
struct Source {
  int height, width;           // of the picture
  int red, blue;               // place of red and blue in a pixel: 0 and 2, or 2 and 0
  i64 frame, row, pixel, part; // bytes from one to the next
};
struct Target {
  int height, width;             // of the picture, before padding
  int padded_height, padded_width;
  i64 frame, channel, row, pixel; // elements from one to the next
};
struct Colour { float mean[3], std[3]; };

// Source pixels that an output pixel is a weighted mean of, along one axis.
struct Span {
  int first, last;
  float centre, reach;
};
AV_FN Span find_span(int at, int pixels, int size) {
  const float step = (float)size / pixels;
  Span s;
  s.centre = (at + .5f) * step, s.reach = av_max(step, 1.f);
  s.first = av_max((int)(s.centre - s.reach + .5f), 0);
  s.last = av_min((int)(s.centre + s.reach + .5f), size);
  return s;
}

AV_FN float weight_of(const Span& s, int i) {
  return av_max(0.f, 1.f - fabsf(i + .5f - s.centre) / s.reach);
}

struct Rgb { float part[3]; };

#if AV_NV12
// BT.601, limited range, a chroma sample for each 2x2 pixels.
AV_FN Rgb read(const u8* frame, const Source& from, int y, int x) {
  const u8* chroma = frame + (from.height + y / 2) * from.row + (x & ~1);
  const float luma = 1.164384f * av_max(frame[y * from.row + x] - 16.f, 0.f);
  const float cb = chroma[0] - 128.f, cr = chroma[1] - 128.f;
  Rgb c = {{luma + 1.596027f * cr, luma - .391762f * cb - .812968f * cr, luma + 2.017232f * cb}};
#pragma unroll
  for (int k = 0; k < 3; ++k) c.part[k] = av_min(av_max(c.part[k], 0.f), 255.f);
  return c;
}
#else
AV_FN Rgb read(const u8* frame, const Source& from, int y, int x) {
  const u8* p = frame + y * from.row + x * from.pixel;
  return {{widen(p[from.red * from.part]), widen(p[from.part]), widen(p[from.blue * from.part])}};
}
#endif

AV_FN void finish(float grey, int, const Colour&, u8& out) { narrow(grey, out); }
template <class F> AV_FN void finish(float grey, int k, const Colour& colour, F& out) {
  narrow((grey - colour.mean[k]) / colour.std[k], out);
}
template <class F> AV_FN void put(O* out, const Target& to, int n, int y, int x, const F (&v)[3]) {
#pragma unroll
  for (int k = 0; k < 3; ++k)
    out[n * to.frame + k * to.channel + y * to.row + x * to.pixel] = v[k];
}

AV_KERNEL(128, 8)
frame_prep(const u8* __restrict__ frames, AV_STRUCT Source from, O* __restrict__ out,
           AV_STRUCT Target to, AV_STRUCT Colour colour) {
  const int x = blockIdx.x * 128 + threadIdx.x, y = blockIdx.y, n = blockIdx.z;
  if (x >= to.padded_width) return;
  O result[3];
#pragma unroll
  for (int k = 0; k < 3; ++k) narrow(0.f, result[k]);
  if (x < to.width && y < to.height) {
    const u8* frame = frames + n * from.frame;
    const Span rows = find_span(y, to.height, from.height);
    const Span columns = find_span(x, to.width, from.width);
    float sum[3] = {}, total = 0;
    for (int i = rows.first; i < rows.last; ++i) {
      float row[3] = {}, part = 0;
      for (int j = columns.first; j < columns.last; ++j) {
        const float weight = weight_of(columns, j);
        const Rgb c = read(frame, from, i, j);
        part += weight;
#pragma unroll
        for (int k = 0; k < 3; ++k) row[k] += weight * c.part[k];
      }
      const float weight = weight_of(rows, i);
      total += weight * part;
#pragma unroll
      for (int k = 0; k < 3; ++k) sum[k] += weight * row[k];
    }
#pragma unroll
    for (int k = 0; k < 3; ++k)
      finish(av_floor(sum[k] / total + .5f), k, colour, result[k]);
  }
  put(out, to, n, y, x, result);
}
