// Smooth outlines of masks: vectors stay sharp at any size of the page and are cheap to redraw.

const STEPS = [[1, 0], [0, 1], [-1, 0], [0, -1]]; // right, down, left, up
// From a corner of the grid: the pixel ahead on the left, and the one ahead on the right.
const AHEAD = [[[0, -1], [0, 0]], [[0, 0], [-1, 0]], [[-1, 0], [-1, -1]], [[-1, -1], [0, -1]]];
const SMOOTH = 2; // points to each side that are averaged

/**
 * Walk around everything that is set, the inside on the right hand; holes the other way round.
 * @param {{x: number, y: number, width: number, height: number, mask: Uint8Array}} patch
 * @returns {number[][]} loops of x, y, x, y, ... in the picture's pixels: middles of pixel edges
 */
export function loops(patch) {
  const { mask, width, height } = patch;
  const stride = width + 2;
  const done = new Uint8Array(mask.length); // upper edges that were walked along
  const found = [];
  for (let row = 1; row <= height; row += 1) {
    for (let column = 1; column <= width; column += 1) {
      const at = row * stride + column;
      if (mask[at] && !mask[at - stride] && !done[at]) {
        found.push(walk(patch, stride, done, column, row));
      }
    }
  }
  return found;
}

function walk(patch, stride, done, column, row) {
  const { mask } = patch;
  const points = [];
  let [x, y, way] = [column, row, 0];
  do {
    if (way === 0) done[y * stride + x] = 1;
    const [dx, dy] = STEPS[way];
    points.push(patch.x - 1 + x + dx / 2, patch.y - 1 + y + dy / 2);
    x += dx;
    y += dy;
    const [[lx, ly], [rx, ry]] = AHEAD[way];
    if (mask[(y + ly) * stride + x + lx]) way = (way + 3) % 4;
    else if (!mask[(y + ry) * stride + x + rx]) way = (way + 1) % 4;
  } while (x !== column || y !== row || way !== 0);
  return points;
}

/** Average each point with its neighbours, and keep every second one of a long loop. */
export function smooth(points) {
  const n = points.length / 2;
  if (n < 8 * SMOOTH) return points;
  const kept = [];
  for (let i = 0; i < n; i += 2) {
    let [x, y] = [0, 0];
    for (let k = -SMOOTH; k <= SMOOTH; k += 1) {
      const j = 2 * ((i + k + n) % n);
      x += points[j];
      y += points[j + 1];
    }
    kept.push(x / (2 * SMOOTH + 1), y / (2 * SMOOTH + 1));
  }
  return kept;
}

/** A path around a mask; fill it by the even-odd rule. */
export function outline(patch) {
  const path = new Path2D();
  for (const loop of loops(patch)) {
    const points = smooth(loop);
    path.moveTo(points[0], points[1]);
    for (let i = 2; i < points.length; i += 2) path.lineTo(points[i], points[i + 1]);
    path.closePath();
  }
  return path;
}
