// How the stream is doing: latency per stage, states of the sources, what happened.

import { byId, make, say, wallTime } from "./dom.js";
import { soundState } from "./words.js";

const ORDER = ["receive", "decode", "queue", "preprocess", "model", "post", "publish", "total"];
const EVENTS = 40;
const NOUNS = { audio: "microphone", video: "camera" };
const PICTURE = { ok: "fresh", stale: "frozen", lost: "lost" };

export class Health {
  constructor() {
    this.sources = new Map();
    this.stages = new Map();
    this.told = 0; // number of the newest notice in the log
    this.live = true;
  }

  clear() {
    this.told = 0;
    this.sources.clear();
    byId("events").replaceChildren();
    byId("no-events").hidden = false;
  }

  /** Take a status. */
  status(message) {
    this.latency(message.latency);
    const dropped = Object.entries(message.dropped);
    const drops = dropped.map(([cause, n]) => `${n} ${cause}`).join(", ") || "none";
    say(byId("captured"), message.captured.toLocaleString());
    say(byId("processed"), message.processed.toLocaleString());
    say(byId("dropped"), drops);
    const engine = message.model === "failed" ? "failed" : message.source;
    fact("engine", engine, engine);
    say(byId("degraded"), `Overloaded: ${message.degraded.join(", ")}.`);
    byId("degraded").hidden = message.degraded.length === 0;
    if (message.inputs.length) this.inputs(message.inputs);
    for (const notice of message.notices) this.notice(notice, message);
    fact("picture", PICTURE[message.video] ?? message.video, message.video);
    fact("sound", soundState(message.audio, this.live), message.audio);
  }

  latency(stages) {
    const names = ORDER.filter((name) => name in stages);
    const longest = Math.max(1, ...names.map((name) => stages[name].p95_ms));
    for (const name of names) {
      const { p50_ms: p50, p95_ms: p95 } = stages[name];
      const row = this.stages.get(name) ?? this.stage(name);
      say(row.p50, p50.toFixed(p50 < 10 ? 1 : 0));
      say(row.p95, p95.toFixed(p95 < 10 ? 1 : 0));
      row.bar.style.setProperty("--p50", p50 / longest);
      row.bar.style.setProperty("--p95", p95 / longest);
    }
    byId("no-latency").hidden = names.length > 0;
  }

  stage(name) {
    const [p50, p95, bar] = [make("td"), make("td"), make("i")];
    const row = make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, bar), p50, p95);
    row.classList.toggle("total", name === "total");
    byId("latency").append(row);
    this.stages.set(name, { p50, p95, bar });
    return this.stages.get(name);
  }

  /** Cameras and microphones as they are now. */
  inputs(list) {
    const rows = list.map(({ source, modality, state }) =>
      make(
        "li",
        { "data-state": state },
        make("span", {}, `${NOUNS[modality]} ${source}`),
        make("em", {}, state),
      ),
    );
    byId("sources").replaceChildren(...rows);
  }

  /** A camera or microphone changed its state. */
  event(message) {
    const { source, modality, state, reason, wall_time: when } = message;
    this.sources.set(`${source} ${modality}`, message);
    this.inputs([...this.sources.values()]);
    this.log(when, state, `${NOUNS[modality]} ${source} ${state}${reason && `: ${reason}`}`);
  }

  /** Something else that happened to the stream; what happens to sources comes as an event. */
  notice({ number, time_ns: at, kind, text }, { wall_time: now, monotonic_ns: clock }) {
    if (number <= this.told) return;
    this.told = number;
    if (kind !== "source") this.log(now - (clock - at) / 1e9, "stalled", `${kind}: ${text}`);
  }

  /** Sound was lost. */
  gap(message) {
    const words = message.lost_ms ? `${message.lost_ms} ms of sound lost: ` : "";
    this.log(message.wall_time, "stalled", `${words}${message.cause}`);
  }

  /** Write a line into the log. */
  log(seconds, state, words) {
    const list = byId("events");
    const time = make("time", { datetime: new Date(seconds * 1000).toISOString() }, wallTime(seconds));
    list.prepend(make("li", { "data-state": state }, time, make("span", {}, words)));
    while (list.children.length > EVENTS) list.lastElementChild.remove();
    byId("no-events").hidden = true;
  }
}

function fact(name, words, state) {
  const element = byId(`fact-${name}`);
  say(element, words);
  element.dataset.state = state;
}
