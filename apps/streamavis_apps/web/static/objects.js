// The objects in view as a list: for those who do not see the picture, and at a glance.

import { byId, make, rgb, say } from "./dom.js";
import { nameOf, soundingWords } from "./words.js";

const GONE_MS = 1500; // an object that leaves stays this long, faded
const ANNOUNCE_MS = 1500; // between two sentences for a screen reader

export class Objects {
  constructor() {
    this.list = byId("objects");
    this.rows = new Map();
    this.heard = "";
    this.announced = 0;
  }

  clear() {
    this.rows.clear();
    this.list.replaceChildren();
    byId("no-objects").hidden = false;
  }

  /** Take a result; `from` is the probability an object counts as sounding from. */
  update(result, colours, from) {
    const now = performance.now();
    for (const track of result.tracks) this.row(track, colours[track.id], from, now);
    for (const row of this.rows.values()) row.item.classList.toggle("gone", row.seen !== now);
    this.forget();
    this.announce(result, from, now);
  }

  /** Drop the rows of objects that left. */
  forget() {
    clearTimeout(this.timer);
    let wait = false;
    for (const [id, { seen, item }] of this.rows) {
      if (!item.classList.contains("gone")) continue;
      if (performance.now() - seen < GONE_MS) wait = true;
      else {
        item.remove();
        this.rows.delete(id);
      }
    }
    byId("no-objects").hidden = this.rows.size > 0;
    if (wait) this.timer = setTimeout(() => this.forget(), GONE_MS);
  }

  row(track, colour, from, now) {
    let row = this.rows.get(track.id);
    if (!row) {
      const [name, state, bar] = [make("span", { class: "name" }), make("span", { class: "state" }), make("i")];
      const item = make("li", {}, make("b"), name, bar, state);
      row = { item, name, state, bar };
      this.rows.set(track.id, row);
      const after = [...this.rows.keys()].filter((id) => id > track.id).sort((a, b) => a - b)[0];
      this.list.insertBefore(item, after === undefined ? null : this.rows.get(after).item);
    }
    const sounds = track.sounding !== null && track.sounding >= from;
    const state = track.sounding === null ? "unknown" : sounds ? "sounding" : "silent";
    row.seen = now;
    row.item.dataset.id = track.id;
    row.item.dataset.state = state;
    row.item.dataset.box = track.box;
    row.item.style.setProperty("--track", rgb(colour));
    row.bar.style.setProperty("--share", track.sounding ?? 0);
    say(row.name, nameOf(track.label, track.id));
    say(row.state, soundingWords(track, from));
  }

  announce(result, from, now) {
    const heard = result.tracks
      .filter((track) => track.sounding !== null && track.sounding >= from)
      .map((track) => nameOf(track.label, track.id))
      .join(" and ");
    if (heard === this.heard || now - this.announced < ANNOUNCE_MS) return;
    [this.heard, this.announced] = [heard, now];
    say(byId("announcer"), heard ? `${heard} sounding` : "silence");
  }
}
