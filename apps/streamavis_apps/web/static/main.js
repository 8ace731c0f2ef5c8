// Brings the page's parts together: messages of the server go to the part that shows them.

import { Capture } from "./capture.js";
import { ServerClock } from "./clock.js";
import { condition } from "./condition.js";
import { byId, make, say } from "./dom.js";
import { Grid } from "./grid.js";
import { Health } from "./health.js";
import { Hearing } from "./hearing.js";
import { Link } from "./link.js";
import { Objects } from "./objects.js";
import { Playback } from "./playback.js";
import { Player } from "./player.js";
import { Recorder } from "./recorder.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { tools } from "./tools.js";
import { delay, detects, noneInView } from "./words.js";

const LONGEST_MS = 10_000; // between two pictures: a pause is no rate

const stage = new Stage(byId("picture"));
const timeline = new Timeline(byId("timeline"));
const hearing = new Hearing();
const objects = new Objects();
const health = new Health();
const send = (message) => link.send(message);
const clock = new ServerClock(send);
const player = new Player(send);
const recorder = new Recorder(current, player, recorded);
const playback = new Playback(send);
const link = new Link(text, picture, phase, (time, samples) => now.paused || player.hear(time, samples));
const settings = new Settings(send, apply);
const capture = new Capture(shared);
const grid = new Grid(clock, (name) => watch(name));

const now = {
  phase: "connecting", // of the link
  boot: null, // of the engine whose pictures are shown
  ended: null, // the end-of-stream message
  status: null, // the newest
  replay: false,
  camera: null, // {busy} where the server takes a browser's camera
  lending: "off",
  picture: null, // the newest: {at, taken, interval}
  drawn: [], // when the latest were drawn, ms
  paused: false,
  streams: [],
  grid: null, // whether it is shown; null: not chosen yet
};

const handlers = {
  streams({ names, camera }) {
    const choice = byId("stream");
    if (String(names) !== String(now.streams)) {
      const lobby = choice.options.length === 0 && now.phase === "open"; // none when we came
      now.streams = names;
      choice.replaceChildren(...names.map((name) => make("option", {}, name)));
      if (link.stream) choice.value = link.stream;
      byId("stream-choice").hidden = byId("all").hidden = names.length < 2;
      arrange();
      if (lobby && names.length && !now.stream) link.open();
    }
    now.camera = camera;
    byId("camera").hidden = camera === null;
    look();
  },
  hello(message) {
    now.stream = message.stream;
    byId("stream").value = message.stream;
    now.ended = null;
    now.replay = message.playback !== null;
    hearing.live = health.live = !now.replay;
    playback.show(message.playback);
    say(byId("lag-name"), now.replay ? "behind by" : "latency");
    settings.offer(message.classes);
    for (const element of document.querySelectorAll(".detects")) say(element, detects(message.model, message.classes));
    say(byId("no-objects"), noneInView(message.model));
    say(byId("model"), message.model);
    document.title = `${now.stream} · StreamAVIS`;
    arrange();
    look();
  },
  history(message) {
    if (message.boot_id !== now.boot) restart(message.boot_id);
    timeline.history(message);
  },
  playback({ kind, ...known }) {
    playback.show(known);
    look();
  },
  pong: (message) => clock.answer(message),
  settings: (message) => settings.receive(message),
  status(message) {
    now.status = message;
    clock.told(message);
    health.status(message);
    hearing.state(message.audio, !now.replay);
    look();
  },
  heard(message) {
    hearing.hear(message);
    timeline.hear(message.level_dbfs);
  },
  event: (message) => health.event(message),
  gap: (message) => health.gap(message),
  gone: forget,
  eos(message) {
    const how = { ended: "The stream has ended.", stopped: "The engine was stopped." };
    const failed = `The engine failed${message.detail && `: ${message.detail}`}.`;
    now.ended = { words: how[message.reason] ?? failed };
    health.log(Date.now() / 1000, message.reason, now.ended.words);
    look();
  },
  refused({ reason }) {
    say(byId("refusal"), reason);
    byId("refusal").hidden = false;
  },
};

function text(message) {
  handlers[message.kind]?.(message);
}

async function picture(header, jpeg) {
  const { result, colours, taken } = header;
  try {
    if (result.boot_id !== now.boot) restart(result.boot_id);
    timeline.add(result, colours);
    objects.update(result, colours, settings.values.sounding_from);
    hearing.from(result.sound_bearing);
    if (!now.paused) {
      if (grid.on) await grid.picture(header, jpeg);
      else await stage.show(result, colours, jpeg);
      playback.at(result.capture_time_ns / 1e9);
    }
    const at = performance.now();
    const interval = now.drawn.length ? Math.min(LONGEST_MS, at - now.drawn.at(-1)) : 0;
    now.drawn.push(at);
    now.picture = { at, taken, interval };
    look();
  } finally {
    link.send({ kind: "drawn" });
  }
}

/** Another engine run: its time and ids start anew. */
function restart(boot) {
  now.boot = boot;
  health.told = 0;
  timeline.clear();
  objects.clear();
  player.forget();
  clock.delay = null;
}

/** Clear what belongs to a browser that has left, or to another stream. */
function forget() {
  now.picture = null;
  now.drawn = [];
  stage.clear();
  timeline.clear();
  objects.clear();
  hearing.clear();
  player.forget();
  say(byId("lag"), "–");
  look();
}

function phase(name) {
  if (name === "open") {
    health.log(Date.now() / 1000, "running", "connected to the server");
    clock.reset();
    clock.ask();
    player.tell();
  } else if (now.phase === "open") {
    health.log(Date.now() / 1000, "failed", "connection to the server lost");
    now.status = null;
  }
  if (!(now.phase === "refused" && name === "lost")) now.phase = name;
  look();
}

function apply(values) {
  stage.soundingFrom = values.sounding_from;
  timeline.soundingFrom = values.sounding_from;
  byId("refusal").hidden = true;
  grid.settings(values);
  stage.ask();
  timeline.ask();
}

/** Bring pill, alert and what lies over the picture up to date. */
function look() {
  const asks = now.camera !== null && !now.camera.busy && now.lending !== "on";
  const seen = { ...now, asks: asks && !now.picture };
  const { state, word, overlay, date, alerts } = condition(seen, performance.now(), clock.now);
  byId("phase").dataset.state = state;
  say(byId("phase"), word);
  byId("alert").hidden = alerts.length === 0;
  say(byId("alert"), alerts.join(" "));
  byId("overlay").hidden = overlay === null;
  byId("overlay").classList.toggle("old", date !== null);
  byId("view").classList.toggle("old", overlay !== null);
  if (overlay !== null) say(byId("overlay-text"), overlay);
  byId("overlay-date").hidden = date === null || now.replay;
  if (date !== null) say(byId("overlay-date"), date);
  byId("again").hidden = !(now.ended && playback.known?.seekable && now.phase === "open");
  const share = now.phase === "open" && asks && overlay !== null;
  byId("share").hidden = byId("share-note").hidden = !share;
  byId("share-again").hidden = !asks;
  grid.tell({ ...seen, picture: now.picture });
}

/** Where the stream in focus is drawn. */
function current() {
  return grid.stage ?? stage;
}

/** Show one stream or all of them. */
function arrange() {
  const on = now.streams.length > 1 && (now.grid ?? true);
  byId("all").setAttribute("aria-pressed", String(on));
  if (grid.stage) grid.stage.onDrawn = grid.stage.onPaint = null;
  grid.show(on, now.streams, now.stream);
  if (grid.stage) {
    grid.stage.onDrawn = drawn;
    grid.stage.onPaint = () => recorder.paint();
  }
}

function watch(name) {
  const same = name === now.stream;
  now.grid = false;
  if (!same) {
    health.clear();
    forget();
    now.stream = name;
  }
  arrange();
  if (!same || !stage.shot) link.open(name);
}

/** What became of this device's camera. */
function shared(state, words) {
  now.lending = state;
  say(byId("camera-text"), words);
  byId("share-stop").hidden = state !== "on";
  if (state === "failed") {
    say(byId("share-note"), words);
    health.log(Date.now() / 1000, "failed", words);
  }
  look();
}

function recorded(on, words) {
  byId("record").setAttribute("aria-pressed", String(on));
  say(byId("announcer"), words);
  health.log(Date.now() / 1000, "running", words);
}

function share() {
  capture.start();
}

byId("share").addEventListener("click", share);
byId("share-again").addEventListener("click", share);
byId("share-stop").addEventListener("click", () => {
  capture.stop();
  shared("off", "Nothing is sent.");
});
byId("stream").addEventListener("change", ({ target }) => watch(target.value));
function drawn(result) {
  player.shown(result.capture_time_ns / 1e9);
  const lag = clock.drawn(result);
  if (lag !== null) say(byId("lag"), delay(lag));
}

stage.onDrawn = drawn;
stage.onPaint = () => recorder.paint();
tools(current, {
  pause(paused) {
    now.paused = paused;
    if (paused) player.forget();
    look();
  },
  masks(on) {
    stage.masks = on;
    stage.ask();
    grid.masks(on);
  },
  listen: (on) => player.want("speakers", on),
  record: () => recorder.toggle(),
  grid() {
    if (grid.on) watch(now.stream);
    else {
      now.grid = true;
      arrange();
      link.open(now.stream);
    }
  },
});

setInterval(() => {
  const since = performance.now() - 2000;
  now.drawn = now.drawn.filter((at, n, all) => at > since || n === all.length - 1);
  const recent = now.drawn.filter((at) => at > since);
  const spread = recent.at(-1) - recent[0];
  say(byId("rate"), recent.length > 2 ? ((1000 * (recent.length - 1)) / spread).toFixed(1) : "–");
  look();
}, 500);

link.open();
