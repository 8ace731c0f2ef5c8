// A recording's position, loop and next pass. All viewers see the same playback.

import { byId, say } from "./dom.js";
import { clockTime } from "./words.js";

export class Playback {
  /** @param {(message: object) => void} send */
  constructor(send) {
    this.send = send;
    this.known = null; // {duration_s, seekable, loop}; null: the stream is live
    this.held = false; // the handle is being moved
    const seek = byId("seek");
    seek.addEventListener("input", () => {
      this.held = true;
      this.say(Number(seek.value));
    });
    seek.addEventListener("change", () => {
      this.held = false;
      this.play(Number(seek.value));
    });
    byId("loop").addEventListener("change", ({ target }) => this.send({ kind: "play", loop: target.checked }));
    byId("again").addEventListener("click", () => this.play(0));
  }

  play(from) {
    this.send({ kind: "play", from_s: from });
  }

  /** What can be done with the recording; null: it is a live stream. */
  show(known) {
    this.known = known;
    byId("playback").hidden = known === null;
    if (known === null) return;
    const seek = byId("seek");
    seek.max = known.duration_s ?? 0;
    seek.disabled = !known.seekable || known.duration_s === null;
    byId("seek-note").hidden = known.seekable;
    byId("loop").checked = known.loop;
    this.say(Number(seek.value));
  }

  /** A picture of that place is shown, in s. */
  at(time) {
    if (this.known === null || this.held) return;
    byId("seek").value = time;
    this.say(time);
  }

  say(time) {
    const whole = this.known?.duration_s;
    const words = whole ? `${clockTime(time)} of ${clockTime(whole)}` : clockTime(time);
    say(byId("seek-text"), words);
    byId("seek").setAttribute("aria-valuetext", words);
  }
}
