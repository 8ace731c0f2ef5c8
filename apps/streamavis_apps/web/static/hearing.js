// The sound: level, spectrum, and the detected audio classes.

import { byId, make, say, sharp, still } from "./dom.js";
import { direction, level, percent, soundState, UNKNOWN } from "./words.js";

const SPAN = 500; // columns of 10 ms
const FLOOR_DB = -60;
const HOLD_MS = 1500;
const LEAST = 0.05; // less probable classes are not listed
// From silent to loud, in both themes.
const STOPS = [
  [0, 11, 13, 20],
  [0.25, 38, 26, 74],
  [0.5, 140, 41, 99],
  [0.72, 232, 94, 62],
  [0.88, 252, 176, 66],
  [1, 255, 246, 214],
];

export class Hearing {
  constructor() {
    this.canvas = byId("spectrum");
    this.bands = 64;
    this.ring = new OffscreenCanvas(SPAN, this.bands);
    this.paint = this.ring.getContext("2d");
    this.table = colours();
    this.rows = [];
    this.clear();
  }

  clear() {
    this.paint.fillStyle = `rgb(${STOPS[0].slice(1).join(" ")})`;
    this.paint.fillRect(0, 0, SPAN, this.bands);
    this.next = 0;
    this.held = FLOOR_DB;
    this.heldAt = 0;
    this.audio = "ok"; // the state of the sound
    this.live = true;
    this.show(null, []);
    this.tell("");
    this.from(null);
    this.draw();
  }

  /** Take the state of the sound; while sound is missing, audio classes are unknown. */
  state(audio, live) {
    if (audio === this.audio && live === this.live) return;
    [this.audio, this.live] = [audio, live];
    if (audio === "ok") this.tell("");
    else {
      this.show(null, []);
      this.tell(`${soundState(audio, live)}: audio classes ${UNKNOWN}`);
    }
  }

  tell(words) {
    say(byId("unknown-sound"), words);
    byId("unknown-sound").hidden = !words;
  }

  /** Take where the sound comes from, null without an array of microphones. */
  from(sound) {
    const words = direction(sound);
    say(byId("sound-from"), words);
    byId("sound-from").hidden = !words;
  }

  /** Take level and spectrum. */
  hear(message) {
    if (this.audio === "ok") {
      const likely = (message.top ?? []).filter(([, share]) => share >= LEAST);
      this.show(message.level_dbfs, likely);
      if (message.top === null) this.tell(`audio classes ${UNKNOWN}`);
      else this.tell(likely.length ? "" : "none of its classes");
    } else if (this.audio === "gap") this.show(message.level_dbfs, []);
    const shades = Uint8Array.from(atob(message.spectra), (c) => c.charCodeAt(0));
    const columns = Math.min(SPAN, shades.length / message.bands);
    for (let n = shades.length / message.bands - columns; n < columns; n += 1) {
      this.column(shades.subarray(n * message.bands, (n + 1) * message.bands));
    }
    this.peak(message.peak_dbfs);
    this.draw();
  }

  column(shades) {
    const image = this.paint.createImageData(1, this.bands);
    for (let band = 0; band < this.bands; band += 1) {
      const to = 4 * (this.bands - 1 - band);
      image.data.set(this.table.subarray(4 * shades[band], 4 * shades[band] + 4), to);
    }
    this.paint.putImageData(image, this.next, 0);
    this.next = (this.next + 1) % SPAN;
  }

  show(db, top) {
    const meter = byId("level");
    const shown = db === null ? FLOOR_DB : Math.max(FLOOR_DB, Math.min(0, db));
    meter.setAttribute("aria-valuenow", Math.round(shown));
    meter.setAttribute("aria-valuetext", level(db));
    meter.style.setProperty("--share", 1 - shown / FLOOR_DB);
    say(byId("level-text"), level(db).replace("-", "−"));
    this.list(top);
  }

  peak(db) {
    const now = performance.now();
    if (db >= this.held || now - this.heldAt > HOLD_MS) [this.held, this.heldAt] = [db, now];
    const share = 1 - Math.max(FLOOR_DB, Math.min(0, this.held)) / FLOOR_DB;
    byId("level").style.setProperty("--peak", share);
  }

  list(top) {
    const list = byId("heard");
    while (this.rows.length < top.length) {
      const [name, value, bar] = [make("span"), make("span"), make("i")];
      this.rows.push({ name, value, bar, row: make("li", {}, name, bar, value) });
    }
    list.replaceChildren(...this.rows.slice(0, top.length).map(({ row }) => row));
    top.forEach(([label, share], n) => {
      const { name, value, bar, row } = this.rows[n];
      say(name, label);
      say(value, percent(share));
      bar.style.setProperty("--share", share);
      row.classList.toggle("likely", share >= 0.5);
    });
  }

  draw() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      const { context, width, height } = sharp(this.canvas);
      context.imageSmoothingEnabled = true;
      // With less movement it fills like a page instead of scrolling.
      const first = still.matches ? 0 : this.next;
      const cut = Math.round(((SPAN - first) / SPAN) * width); // whole, or a seam shows
      context.drawImage(this.ring, first, 0, SPAN - first, this.bands, 0, 0, cut, height);
      if (first) context.drawImage(this.ring, 0, 0, first, this.bands, cut, 0, width - cut, height);
    });
  }
}

function colours() {
  const table = new Uint8ClampedArray(4 * 256);
  for (let n = 0; n < 256; n += 1) {
    const at = n / 255;
    const above = STOPS.findIndex(([stop]) => stop >= at);
    const [low, high] = [STOPS[Math.max(0, above - 1)], STOPS[above]];
    const share = high[0] === low[0] ? 0 : (at - low[0]) / (high[0] - low[0]);
    for (let c = 0; c < 3; c += 1) table[4 * n + c] = low[c + 1] + share * (high[c + 1] - low[c + 1]);
    table[4 * n + 3] = 255;
  }
  return table;
}
