// Small masks as seen from the source picture: bilinear values of a grid of logits.
//
//   -DAV_T storage of the logits
#pragma once
#include "dialect.h"

typedef AV_T T;

// Where the pixels of one axis fall between the cells of the grid.
struct Axis {
  const int* low;       // the cell before a pixel's centre
  const float* weight;  // of the cell after it
  int pixels, cells;
};
struct Grid {
  Axis rows, columns;
  i64 mask, row;  // elements from one mask, and row, to the next
};

AV_FN float blend(float a, float b, float weight) {
  return exact_add(a, exact_mul(exact_add(b, -a), weight));
}
// Down first, then across, each step rounded: the same bits as on the CPU.
AV_FN float logit_at(const T* mask, const Grid& grid, int y, int x) {
  const int up = grid.rows.low[y], left = grid.columns.low[x];
  const int right = av_min(left + 1, grid.columns.cells - 1);
  const T* above = mask + up * grid.row;
  const T* below = mask + av_min(up + 1, grid.rows.cells - 1) * grid.row;
  const float wy = grid.rows.weight[y], wx = grid.columns.weight[x];
  return blend(blend(widen(above[left]), widen(below[left]), wy),
               blend(widen(above[right]), widen(below[right]), wy), wx);
}
