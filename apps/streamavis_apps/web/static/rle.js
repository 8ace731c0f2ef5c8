// Masks out of COCO's compressed run lengths, cut to their boxes (as streamavis/viz/patch.py).

/**
 * Run lengths out of COCO's text: 5 bits a character, low ones first, the 6th says more follows.
 * From the fourth run on it holds the difference to the run two before.
 * @param {string} text
 * @returns {number[]} outside, inside, outside, ... down the columns
 */
export function runs(text) {
  const counts = [];
  let at = 0;
  while (at < text.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      const bits = text.charCodeAt(at) - 48;
      if (!(bits >= 0 && bits < 64)) throw new RangeError(`no run lengths at ${at}`);
      at += 1;
      value |= (bits & 0x1f) << shift;
      shift += 5;
      more = (bits & 0x20) !== 0;
      if (!more && bits & 0x10) value |= -1 << shift;
    }
    if (counts.length > 2) value += counts[counts.length - 2];
    counts.push(value);
  }
  return counts;
}

/**
 * The box around a mask, with a border of one empty pixel for the outline.
 * @param {{size: [number, number], counts: string}} rle
 * @returns {{x: number, y: number, width: number, height: number, mask: Uint8Array} | null}
 *   x, y: of the first pixel inside the border; mask: (height + 2) rows of (width + 2); null: empty
 */
export function patch(rle) {
  const [tall, wide] = rle.size;
  const counts = runs(rle.counts);
  const spans = [];
  let at = 0;
  let top = tall;
  let bottom = -1;
  for (let i = 0; i < counts.length; i += 1) {
    const end = Math.min(at + counts[i], tall * wide);
    if (i % 2 === 1 && end > at) {
      spans.push(at, end);
      const first = Math.floor(at / tall);
      const last = Math.floor((end - 1) / tall);
      top = Math.min(top, first === last ? at % tall : 0);
      bottom = Math.max(bottom, first === last ? (end - 1) % tall : tall - 1);
    }
    at = end;
  }
  if (spans.length === 0) return null;
  const left = Math.floor(spans[0] / tall);
  const right = Math.floor((spans[spans.length - 1] - 1) / tall);
  const width = right - left + 1;
  const height = bottom - top + 1;
  const mask = new Uint8Array((width + 2) * (height + 2));
  for (let i = 0; i < spans.length; i += 2) {
    for (let pixel = spans[i]; pixel < spans[i + 1]; pixel += 1) {
      const column = Math.floor(pixel / tall) - left + 1;
      const row = (pixel % tall) - top + 1;
      mask[row * (width + 2) + column] = 1;
    }
  }
  return { x: left, y: top, width, height, mask };
}
