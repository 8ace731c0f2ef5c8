// Several cameras side by side. The one in focus comes over the page's own connection, each of the
// others over one of its own; a click brings it into focus.

import { condition } from "./condition.js";
import { byId, make, say } from "./dom.js";
import { Link } from "./link.js";
import { Stage } from "./stage.js";

export class Grid {
  /**
   * @param {import("./clock.js").ServerClock} clock
   * @param {(name: string) => void} onChoice
   */
  constructor(clock, onChoice) {
    this.clock = clock;
    this.onChoice = onChoice;
    this.tiles = new Map();
    this.focused = null;
    this.on = false;
    setInterval(() => this.on && this.look(), 500);
  }

  /** Show these streams, or nothing where the grid is off. */
  show(on, names, focused) {
    this.on = on;
    this.focused = focused;
    byId("grid").hidden = !on;
    byId("stage").hidden = on;
    for (const [name, tile] of this.tiles) {
      if (on && names.includes(name)) continue;
      tile.close();
      tile.element.remove();
      this.tiles.delete(name);
    }
    if (!on) return;
    for (const name of names) {
      if (!this.tiles.has(name)) this.tiles.set(name, new Tile(name, this.onChoice));
      const tile = this.tiles.get(name);
      tile.connect(name !== focused);
      byId("grid").append(tile.element); // in their order
    }
  }

  /** Where the stream in focus is drawn; null where the grid is off. */
  get stage() {
    return (this.on && this.tiles.get(this.focused)?.stage) || null;
  }

  /** The stream in focus has a picture; resolves once it is shown. */
  async picture(header, jpeg) {
    await this.tiles.get(this.focused)?.picture(header, jpeg);
  }

  /** What is known of the stream in focus. */
  tell(now) {
    const tile = this.tiles.get(this.focused);
    if (tile) Object.assign(tile.now, now);
  }

  settings({ sounding_from: from }) {
    for (const { stage } of this.tiles.values()) {
      stage.soundingFrom = from;
      stage.ask();
    }
  }

  masks(on) {
    for (const { stage } of this.tiles.values()) {
      stage.masks = on;
      stage.ask();
    }
  }

  look() {
    for (const tile of this.tiles.values()) tile.look(this.clock.now);
  }
}

class Tile {
  constructor(name, onChoice) {
    const canvas = make("canvas", { role: "img", "aria-label": `${name}: no picture yet` });
    this.overlay = make("span", { class: "overlay-text" });
    this.pill = make("span", { class: "pill" });
    const caption = make("span", { class: "caption" }, make("b", {}, name), this.pill);
    this.element = make("button", { type: "button", class: "tile", "data-stream": name }, canvas, this.overlay, caption);
    this.element.addEventListener("click", () => onChoice(name));
    this.name = name;
    this.stage = new Stage(canvas);
    this.link = null;
    this.now = { phase: "connecting", ended: null, status: null, replay: false, paused: false, asks: false, picture: null };
  }

  /** Get pictures over a connection of its own, or from the page. */
  connect(own) {
    if (!own) this.close();
    else if (!this.link) {
      const take = async (header, jpeg) => {
        try {
          await this.picture(header, jpeg);
        } finally {
          this.link?.send({ kind: "drawn" });
        }
      };
      this.link = new Link((message) => this.text(message), take, (phase) => (this.now.phase = phase));
      this.link.open(this.name);
    }
  }

  close() {
    this.link?.close();
    this.link = null;
  }

  text(message) {
    if (message.kind === "status") this.now.status = message;
    if (message.kind === "hello") Object.assign(this.now, { ended: null, replay: message.playback !== null });
    if (message.kind === "eos") this.now.ended = { words: "The stream has ended." };
    if (message.kind === "settings") this.stage.soundingFrom = message.sounding_from;
    if (message.kind === "gone") {
      this.stage.clear();
      this.now.picture = null;
    }
  }

  async picture({ result, colours, taken }, jpeg) {
    await this.stage.show(result, colours, jpeg);
    const at = performance.now();
    const before = this.now.picture?.at;
    this.now.picture = { at, taken, interval: before ? Math.min(10_000, at - before) : 0 };
  }

  look(server) {
    const { state, word, overlay, date } = condition(this.now, performance.now(), server);
    this.pill.dataset.state = state;
    say(this.pill, word);
    this.overlay.hidden = overlay === null;
    this.element.classList.toggle("old", overlay !== null);
    say(this.overlay, overlay === null ? "" : date ?? overlay);
  }
}
