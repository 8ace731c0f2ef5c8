// Masks of the kept tracks on a CPU: packed bits, measures and edges, column by column.
//
// The values are those of mask_bits.cu to the bit: this is built with -ffp-contract=off. Only the
// pixels that a positive cell can reach are computed; the rest is known to be outside.

using Index = long long;
using Word = unsigned;
typedef unsigned long long Eight __attribute__((may_alias, aligned(1)));  // bytes at once

struct Axis {
  const int* low;       // the cell before a pixel's centre
  const float* weight;  // of the cell after it
  int pixels, cells;

  int high(int pixel) const { return low[pixel] + 1 < cells ? low[pixel] + 1 : cells - 1; }
  // Pixels [begin, end) whose value cells `first` to `last` can touch.
  int begin(int first) const {
    int p = 0;
    while (p < pixels && high(p) < first) ++p;
    return p;
  }
  int end(int last) const {
    int p = pixels;
    while (p > 0 && low[p - 1] > last) --p;
    return p;
  }
};

// Collects runs of set pixels, which come in order.
struct Runs {
  int height, capacity;
  Word* bits;
  Index* stats;
  int* edges;
  int count = 0, until = -1;  // end of the last run

  void edge(int at) {
    if (count < capacity) edges[count] = at;
    ++count;
  }
  void add(int x, int y0, int y1) {
    const Index length = y1 - y0;
    stats[0] += length;
    stats[1] = x < stats[1] ? x : stats[1], stats[2] = y0 < stats[2] ? y0 : stats[2];
    stats[3] = x > stats[3] ? x : stats[3], stats[4] = y1 - 1 > stats[4] ? y1 - 1 : stats[4];
    stats[5] += length * x, stats[6] += length * (y0 + y1 - 1) / 2;
    const int first = x * height + y0, last = x * height + y1;
    if (first != until) {  // a run may go on from the bottom of a column to the top of the next
      if (until >= 0) edge(until);
      edge(first);
    }
    until = last;
    for (int i = first; i < last;) {
      const int stop = (i / 32 + 1) * 32 < last ? (i / 32 + 1) * 32 : last;
      bits[i / 32] |= (~0u >> (32 - (stop - i))) << i % 32;
      i = stop;
    }
  }
};

// The first of the bytes [y, end) that is not `value`, 0 or 1; `end` if there is none.
static int until_other(const unsigned char* on, int y, int end, int value) {
  const Eight same = value ? 0x0101010101010101ull : 0;
  while (y + 8 <= end && *(const Eight*)(on + y) == same) y += 8;
  while (y < end && on[y] == value) ++y;
  return y;
}

// One column of cells as seen by the rows [top, bottom) of pixels.
static void stretch(const float* mask, Index row, const Axis& rows, int column, int top, int bottom,
                    float* cells, float* out) {
  for (int c = 0; c < rows.cells; ++c) cells[c] = mask[c * row + column];
  for (int y = top; y < bottom; ++y) {
    const float low = cells[rows.low[y]], high = cells[rows.high(y)];
    out[y] = low + (high - low) * rows.weight[y];
  }
}

static void draw(const float* mask, Index row, const Axis& rows, const Axis& columns, float* scratch,
                 unsigned char* on, Runs& runs) {
  int first_row = rows.cells, last_row = -1, first = columns.cells, last = -1;
  for (int r = 0; r < rows.cells; ++r)
    for (int c = 0; c < columns.cells; ++c)
      if (mask[r * row + c] > 0) {
        first_row = r < first_row ? r : first_row, last_row = r;
        first = c < first ? c : first, last = c > last ? c : last;
      }
  if (last < 0) return;
  const int top = rows.begin(first_row), bottom = rows.end(last_row);
  float *left = scratch, *right = left + rows.pixels, *cells = right + rows.pixels;
  int held = -1;  // the column of cells in `left`; the next one is in `right`
  for (int x = columns.begin(first); x < columns.end(last); ++x) {
    const int low = columns.low[x];
    if (low != held) {
      if (held >= 0 && low == held + 1) {
        float* free = left;
        left = right, right = free;
      } else {
        stretch(mask, row, rows, low, top, bottom, cells, left);
      }
      stretch(mask, row, rows, columns.high(x), top, bottom, cells, right);
      held = low;
    }
    const float weight = columns.weight[x];
    for (int y = top; y < bottom; ++y) on[y] = left[y] + (right[y] - left[y]) * weight > 0;
    for (int y = top; y < bottom;) {
      const int start = until_other(on, y, bottom, 0);
      y = until_other(on, start, bottom, 1);
      if (start < y) runs.add(x, start, y);
    }
  }
}

// `bits` comes zeroed and `stats` as mask_bits.cu wants it. `scratch` is 2 H + h floats and `on` H
// bytes for each mask.
extern "C" void mask_post(const float* logits, Index stride, Index row, const Index* kept,
                          int count, const int* row_low, const float* row_weight, int height,
                          int row_cells, const int* column_low, const float* column_weight,
                          int width, int column_cells, Word* bits, int words, Index* stats,
                          int* edges, int capacity, int* counts, float* scratch, unsigned char* on,
                          int threads) {
  const Axis rows{row_low, row_weight, height, row_cells};
  const Axis columns{column_low, column_weight, width, column_cells};
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (int n = 0; n < count; ++n) {
    Runs runs{height, capacity, bits + (Index)n * words, stats + n * 7, edges + (Index)n * capacity};
    draw(logits + kept[n] * stride, row, rows, columns, scratch + (Index)n * (2 * height + row_cells),
         on + (Index)n * height, runs);
    if (runs.until >= 0 && runs.until < height * width) runs.edge(runs.until);
    counts[n] = runs.count;
  }
}
