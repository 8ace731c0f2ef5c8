// Settings that all viewers share; the server decides.

import { byId, make, say } from "./dom.js";
import { percent } from "./words.js";

const SEND_MS = 120;

export class Settings {
  /**
   * @param {(change: object) => void} send
   * @param {(settings: object) => void} onChange
   */
  constructor(send, onChange) {
    this.send = send;
    this.onChange = onChange;
    this.values = { sounding_from: 0.5, score_from: 0, hidden: [], stride: 1 };
    this.waiting = {};
    this.timer = 0;
    this.classes = [];
    for (const id of ["sounding-from", "score-from", "stride"]) {
      byId(id).addEventListener("input", () => this.edit(id));
    }
    byId("show-all").addEventListener("click", () => this.change({ hidden: [] }));
    byId("reset").addEventListener("click", () => {
      this.change({ sounding_from: 0.5, score_from: 0, hidden: [], stride: 1 });
    });
  }

  edit(id) {
    const value = Number(byId(id).value);
    const share = id !== "stride";
    this.change({ [id.replace("-", "_")]: share ? value / 100 : value });
  }

  /** Change here at once, and at the server soon: a slider moves fast. */
  change(change) {
    this.waiting = { ...this.waiting, ...change };
    this.show({ ...this.values, ...change });
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.send({ kind: "settings", settings: this.waiting });
      this.waiting = {};
    }, SEND_MS);
  }

  /** The server's values, with changes of other viewers. */
  receive({ kind, ...values }) {
    this.show({ ...values, ...this.waiting });
  }

  /** Classes there are to hide. */
  offer(classes) {
    if (String(classes) === String(this.classes)) return;
    this.classes = classes;
    const boxes = classes.map((label) => {
      const box = make("input", { type: "checkbox", value: label });
      box.addEventListener("change", () => this.hide(label, !box.checked));
      return make("label", { class: "chip" }, box, make("span", {}, label));
    });
    byId("classes").replaceChildren(...boxes);
    this.show(this.values);
  }

  hide(label, hidden) {
    const others = this.values.hidden.filter((other) => other !== label);
    this.change({ hidden: hidden ? [...others, label].sort() : others });
  }

  show(values) {
    this.values = values;
    byId("sounding-from").value = Math.round(100 * values.sounding_from);
    byId("score-from").value = Math.round(100 * values.score_from);
    byId("stride").value = values.stride;
    say(byId("sounding-from-text"), percent(values.sounding_from));
    say(byId("score-from-text"), percent(values.score_from));
    say(byId("stride-text"), values.stride === 1 ? "every frame" : `1 of ${values.stride} frames`);
    for (const box of byId("classes").querySelectorAll("input")) {
      box.checked = !values.hidden.includes(box.value);
    }
    byId("show-all").hidden = values.hidden.length === 0;
    this.onChange(values);
  }
}
