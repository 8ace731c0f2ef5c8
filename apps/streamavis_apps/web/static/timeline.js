// Who sounded when, over the last minute of the stream.

import { rgb, sharp, style } from "./dom.js";
import { nameOf } from "./words.js";

const SPAN_S = 60;
const SPANS_S = [15, 30, SPAN_S]; // a stream that is young fills the chart sooner
const ROWS = 7;
const LONGEST_GAP_S = 1; // samples further apart are not joined
const FLOOR_DB = -60;

export class Timeline {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.soundingFrom = 0.5;
    this.clear();
    new ResizeObserver(() => this.ask()).observe(canvas);
  }

  /** Another run: its time and its ids have nothing to do with those before. */
  clear() {
    this.rows = new Map(); // id -> {label, colour, samples: [{t, p}]}, p null: unknown
    this.levels = []; // {t, db}
    this.now = null;
    this.began = null;
    this.told = 0;
    this.ask();
  }

  /** Take a result. */
  add(result, colours) {
    const t = result.capture_time_ns / 1e9;
    if (this.now !== null && t < this.now - 0.001) this.clear();
    this.now = t;
    this.began ??= t;
    for (const track of result.tracks) {
      const row = this.rows.get(track.id) ?? { samples: [] };
      row.label = track.label;
      row.colour = colours[track.id];
      row.samples.push({ t, p: track.sounding });
      this.rows.set(track.id, row);
    }
    this.forget();
    this.ask();
    if (t - this.told > 2) this.tell(t);
  }

  /** Take the minute before this page was opened. */
  history({ tracks, moments }) {
    this.clear();
    for (const [t, db, seen] of moments) {
      this.now = t;
      this.began ??= t;
      for (const [id, p] of seen) {
        const row = this.rows.get(id) ?? { ...tracks[id], samples: [] };
        row.samples.push({ t, p });
        this.rows.set(id, row);
      }
      if (db !== null) this.levels.push({ t, db });
    }
    this.tell(this.now);
    this.ask();
  }

  /** Take the loudness of the moment. */
  hear(db) {
    if (this.now !== null) this.levels.push({ t: this.now, db });
  }

  forget() {
    const first = this.now - SPAN_S;
    for (const [id, row] of this.rows) {
      while (row.samples.length && row.samples[0].t < first) row.samples.shift();
      if (!row.samples.length) this.rows.delete(id);
    }
    while (this.levels.length && this.levels[0].t < first) this.levels.shift();
  }

  tell(t) {
    this.told = t;
    const lines = [...this.rows].map(([id, row]) => {
      const seconds = spans(row.samples, (p) => p !== null && p >= this.soundingFrom).reduce(
        (sum, [from, to]) => sum + to - from,
        0,
      );
      return `${nameOf(row.label, id)} ${seconds.toFixed(1)} s`;
    });
    const text = lines.length ? `Sounding in the last minute: ${lines.join(", ")}` : "Nothing yet";
    this.canvas.setAttribute("aria-label", text);
  }

  ask() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  draw() {
    const latest = (row) => row.samples[row.samples.length - 1].t;
    const rows = [...this.rows]
      .sort(([, a], [, b]) => latest(b) - latest(a))
      .slice(0, ROWS)
      .sort(([a], [b]) => a - b);
    const { context, width, height } = sharp(this.canvas);
    context.clearRect(0, 0, width, height);
    const font = `${style("--small")} ${style("--sans")}`;
    const age = this.now === null ? 0 : this.now - this.began;
    const span = SPANS_S.find((s) => age < s) ?? SPAN_S;
    const gutter = width < 480 ? 84 : 112;
    const foot = 20;
    const place = {
      left: gutter,
      right: width - 8,
      top: 4,
      span,
      x: (t) => width - 8 - ((this.now - t) / span) * (width - 8 - gutter),
    };
    const tall = Math.min(30, (height - foot - 34) / Math.max(rows.length, 3));
    context.font = font;
    this.grid(context, place, height - foot);
    rows.forEach(([id, row], n) => this.row(context, place, id, row, place.top + n * tall, tall));
    this.level(context, place, height - foot - 30, 28);
  }

  grid(context, { left, right, span, x }, bottom) {
    context.fillStyle = style("--faint");
    context.strokeStyle = style("--line");
    context.lineWidth = 1;
    context.textBaseline = "alphabetic";
    const step = span / 6;
    for (let s = 0; s <= span; s += step) {
      const at = this.now === null ? left + ((right - left) * (span - s)) / span : x(this.now - s);
      context.beginPath();
      context.moveTo(Math.round(at) + 0.5, 4);
      context.lineTo(Math.round(at) + 0.5, bottom);
      context.stroke();
      if ((s / step) % 2 === 0) {
        context.textAlign = s === 0 ? "right" : "center";
        context.fillText(s === 0 ? "now" : `−${s} s`, s === 0 ? right : at, bottom + 15);
      }
    }
    context.textAlign = "left";
  }

  row(context, { left, x }, id, row, top, tall) {
    const middle = top + tall / 2;
    context.fillStyle = rgb(row.colour);
    context.beginPath();
    context.arc(6, middle, 4, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = style("--edge"); // bright colours need one on light paper
    context.lineWidth = 1;
    context.stroke();
    context.fillStyle = style("--ink");
    context.textBaseline = "middle";
    context.fillText(fit(context, nameOf(row.label, id), left - 24), 16, middle + 0.5);
    const bars = (from, to, thick, alpha) => {
      context.fillStyle = rgb(row.colour, alpha);
      context.beginPath();
      const start = Math.max(left, x(from));
      const wide = Math.max(2, x(to) - start);
      context.roundRect(start, middle - thick / 2, wide, thick, Math.min(thick, wide) / 2);
      context.fill();
      if (thick > 2) context.stroke();
    };
    for (const [from, to] of spans(row.samples, () => true)) bars(from, to, 2, 0.35);
    const thick = Math.min(14, tall * 0.6);
    for (const [from, to, mean] of spans(row.samples, (p) => p !== null && p >= this.soundingFrom)) {
      bars(from, to, thick, 0.55 + 0.45 * mean);
    }
    context.fillStyle = style("--panel");
    for (const [from, to] of spans(row.samples, (p) => p === null)) {
      // Dotted where unknown.
      for (let at = x(from); at < x(to); at += 8) context.fillRect(at, middle - 1, 4, 2);
    }
  }

  level(context, { left, right, x }, top, tall) {
    context.fillStyle = style("--soft");
    context.textBaseline = "middle";
    context.fillText("sound level", 16, top + tall - 9);
    if (this.levels.length < 2) return;
    const y = (db) => top + tall - (tall * Math.max(0, db - FLOOR_DB)) / -FLOOR_DB;
    context.beginPath();
    context.moveTo(Math.max(left, x(this.levels[0].t)), top + tall);
    for (const { t, db } of this.levels) context.lineTo(Math.max(left, x(t)), y(db));
    context.lineTo(right, top + tall);
    context.closePath();
    context.fillStyle = style("--wave");
    context.fill();
  }
}

/** Runs of samples that pass, as [from, to, mean probability]. */
export function spans(samples, passes) {
  const found = [];
  let run = null;
  for (let i = 0; i < samples.length; i += 1) {
    const { t, p } = samples[i];
    const next = samples[i + 1];
    const gap = next ? Math.min(next.t - t, LONGEST_GAP_S) : 0.1;
    const joined = next && next.t - t <= LONGEST_GAP_S;
    if (passes(p)) {
      run ??= { from: t, to: t, sum: 0, n: 0 };
      run.to = t + gap;
      run.sum += p ?? 0;
      run.n += 1;
    }
    if (run && (!passes(p) || !joined)) {
      found.push([run.from, run.to, run.sum / run.n]);
      run = null;
    }
  }
  if (run) found.push([run.from, run.to, run.sum / run.n]);
  return found;
}

function fit(context, text, width) {
  let shown = text;
  while (shown.length > 3 && context.measureText(shown).width > width) {
    shown = `${shown.slice(0, -2)}…`;
  }
  return shown;
}
