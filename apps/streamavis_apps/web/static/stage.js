// The picture with its masks. A result is only ever drawn on the frame it was made from.

import { rgb, sharp, still, style } from "./dom.js";
import { outline } from "./outline.js";
import { patch } from "./rle.js";
import { nameOf, soundingWords, UNKNOWN } from "./words.js";

const PULSE_HZ = 1.1;
const INK = "rgb(12 14 19 / 0.78)";

export class Stage {
  /** @param {HTMLCanvasElement} canvas where it is drawn */
  constructor(canvas) {
    this.canvas = canvas;
    this.shot = null; // {image, size: [h, w], tracks: [{..., path}]}
    this.masks = true;
    this.soundingFrom = 0.5;
    this.asked = 0;
    this.onDrawn = null; // called when a picture is on the screen for the first time
    this.onPaint = null; // called after each time it was drawn
    new ResizeObserver(() => this.ask()).observe(canvas);
    still.addEventListener("change", () => this.ask());
  }

  /** Decode a picture and show it; resolves once it is the one on the canvas. */
  async show(result, colours, jpeg) {
    const image = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    const tracks = result.tracks
      .map((track) => ({ ...track, colour: colours[track.id], path: pathOf(track) }))
      // Small on large, sounding on silent.
      .sort((a, b) => this.sounds(a) - this.sounds(b) || b.area - a.area);
    this.shot?.image.close();
    this.shot = { image, size: result.size, tracks, result };
    const [height, width] = result.size;
    this.canvas.style.setProperty("--ratio", `${width} / ${height}`);
    this.canvas.setAttribute("aria-label", describe(tracks, (t) => this.sounds(t)));
    this.canvas.dataset.seq = result.seq;
    this.ask();
  }

  sounds(track) {
    return track.sounding !== null && track.sounding >= this.soundingFrom;
  }

  /** Forget the picture: another engine, another stream. */
  clear() {
    this.shot?.image.close();
    this.shot = null;
    this.canvas.setAttribute("aria-label", "No picture");
    delete this.canvas.dataset.seq;
    this.ask();
  }

  /** The picture as it is shown, in its full size, as a PNG. */
  async png() {
    if (!this.shot) return null;
    const [height, width] = this.shot.size;
    const canvas = new OffscreenCanvas(width, height);
    this.draw(canvas.getContext("2d"), width, height, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }

  /** Draw with the next frame of the screen. */
  ask() {
    this.asked ||= requestAnimationFrame((now) => {
      this.asked = 0;
      const { context, width, height } = sharp(this.canvas);
      context.clearRect(0, 0, width, height);
      if (!this.shot) return;
      this.draw(context, width, height, still.matches ? 0.25 / PULSE_HZ : now / 1000);
      if (this.shot.result) this.onDrawn?.(this.shot.result);
      this.shot.result = null;
      this.onPaint?.();
      const pulses = this.masks && this.shot.tracks.some((track) => this.sounds(track));
      if (pulses && !still.matches) this.ask();
    });
  }

  draw(context, width, height, seconds) {
    const [tall, wide] = this.shot.size;
    const scale = Math.min(width / wide, height / tall);
    const [left, top] = [(width - wide * scale) / 2, (height - tall * scale) / 2];
    context.drawImage(this.shot.image, left, top, wide * scale, tall * scale);
    if (!this.masks) return;
    const beat = 0.5 + 0.5 * Math.sin(2 * Math.PI * PULSE_HZ * seconds);
    context.save();
    context.beginPath();
    context.rect(left, top, wide * scale, tall * scale);
    context.clip();
    for (const track of this.shot.tracks) {
      if (!track.path) continue;
      context.save();
      context.translate(left, top);
      context.scale(scale, scale);
      if (this.sounds(track)) glow(context, track, scale, beat);
      else rest(context, track, scale);
      context.restore();
    }
    const taken = [];
    for (const track of [...this.shot.tracks].reverse()) {
      this.label(context, track, { left, top, scale, width, height, taken });
    }
    context.restore();
  }

  label(context, track, place) {
    const { left, top, scale, width, height, taken } = place;
    const size = Math.max(11, Math.min(14, width / 52));
    const sans = style("--sans");
    const sounding = this.sounds(track);
    const words = nameOf(track.label, track.id);
    const level = sounding || track.sounding === null ? soundingWords(track, this.soundingFrom) : "";
    context.font = `600 ${size}px ${sans}`;
    const wordsWide = context.measureText(words).width;
    context.font = `500 ${size * 0.9}px ${sans}`;
    const levelWide = level ? context.measureText(level).width + size * 0.55 : 0;
    const plateWide = wordsWide + levelWide + size * 2.3;
    const plateTall = size * 1.75;
    const [bx, by, bw] = track.box;
    let x = left + (bx + bw / 2) * scale - plateWide / 2;
    let y = top + by * scale - plateTall - 6;
    x = Math.max(left + 4, Math.min(x, width - left - plateWide - 4));
    y = Math.max(top + 4, Math.min(y, height - top - plateTall - 4));
    for (let tries = 0; tries < 6; tries += 1) {
      const hit = taken.find(
        (t) => x < t.x + t.w && x + plateWide > t.x && y < t.y + t.h && y + plateTall > t.y,
      );
      if (!hit) break;
      y = hit.y + hit.h + 3;
    }
    taken.push({ x, y, w: plateWide, h: plateTall });
    context.fillStyle = INK;
    context.beginPath();
    context.roundRect(x, y, plateWide, plateTall, plateTall / 2);
    context.fill();
    context.strokeStyle = rgb(track.colour, sounding ? 0.95 : 0.35);
    context.lineWidth = sounding ? 1.5 : 1;
    context.stroke();
    context.fillStyle = rgb(track.colour);
    context.beginPath();
    context.arc(x + size * 0.95, y + plateTall / 2, size * 0.32, 0, 2 * Math.PI);
    context.fill();
    context.textBaseline = "middle";
    context.font = `600 ${size}px ${sans}`;
    context.fillStyle = sounding ? "white" : "rgb(255 255 255 / 0.82)";
    context.fillText(words, x + size * 1.6, y + plateTall / 2 + 0.5);
    if (!level) return;
    context.font = `500 ${size * 0.9}px ${sans}`;
    context.fillStyle = sounding ? rgb(track.colour) : "rgb(255 255 255 / 0.6)";
    context.fillText(level, x + size * 1.6 + wordsWide + size * 0.55, y + plateTall / 2 + 0.5);
  }
}

function pathOf(track) {
  const cut = patch(track.rle);
  return cut && outline(cut);
}

function rest(context, track, scale) {
  context.fillStyle = rgb(track.colour, 0.2);
  context.fill(track.path, "evenodd");
  context.strokeStyle = rgb(track.colour, 0.75);
  context.lineWidth = 1.25 / scale;
  // Unknown is not silent.
  if (track.sounding === null) context.setLineDash([5 / scale, 4 / scale]);
  context.stroke(track.path);
}

function glow(context, track, scale, beat) {
  const strength = track.sounding * (0.55 + 0.45 * beat);
  context.fillStyle = rgb(track.colour, 0.24 + 0.2 * strength);
  context.fill(track.path, "evenodd");
  context.lineJoin = "round";
  context.shadowColor = rgb(track.colour, 0.5 + 0.5 * strength);
  context.shadowBlur = 14 + 26 * strength;
  context.strokeStyle = rgb(track.colour, 0.9);
  context.lineWidth = (2.5 + 2.5 * strength) / scale;
  context.stroke(track.path);
  context.shadowBlur = 0;
  context.strokeStyle = `rgb(255 255 255 / ${0.55 + 0.4 * strength})`;
  context.lineWidth = 1.4 / scale;
  context.stroke(track.path);
}

function describe(tracks, sounds) {
  if (tracks.length === 0) return "Picture, nothing in view";
  const name = (track) => nameOf(track.label, track.id);
  const heard = tracks.filter(sounds).map(name);
  const unknown = tracks.every((track) => track.sounding === null);
  const who = unknown ? `sounding ${UNKNOWN}` : heard.length ? `sounding: ${heard}` : "all silent";
  return `Picture with ${tracks.map(name).join(", ")}; ${who}`;
}
