// Brings the page's parts together: what the server says goes to whoever shows it.

import { Capture } from "./capture.js";
import { byId, make, say } from "./dom.js";
import { Health } from "./health.js";
import { Hearing } from "./hearing.js";
import { Link } from "./link.js";
import { Objects } from "./objects.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { tools } from "./tools.js";

const STALE_MS = 2000; // without a picture: say so
const WORDS = {
  connecting: "Connecting…",
  lost: "The connection is lost. Trying again…",
  refused: "This page needs the link that StreamAVIS printed when it started; a restart makes a new one.",
  waiting: "Waiting for the first picture…",
  camera: "This server looks through your camera.",
};

const stage = new Stage(byId("picture"));
const timeline = new Timeline(byId("timeline"));
const hearing = new Hearing();
const objects = new Objects();
const health = new Health();
const link = new Link(text, picture, phase);
const settings = new Settings((change) => link.send(change), apply);
const capture = new Capture(lent);

const now = {
  phase: "connecting", // of the link
  boot: null, // of the engine whose pictures are shown
  ended: null, // the last words of the stream
  camera: null, // {busy} where the server asks for a visitor's
  lending: "off",
  pictures: [], // when the latest were drawn, ms
  paused: false,
};

const handlers = {
  streams({ names, camera }) {
    const choice = byId("stream");
    if (String(names) !== choice.dataset.names) {
      const lobby = choice.dataset.names === ""; // there was no stream when we came
      choice.dataset.names = String(names);
      choice.replaceChildren(...names.map((name) => make("option", {}, name)));
      if (link.stream) choice.value = link.stream;
      byId("stream-choice").hidden = names.length < 2;
      if (lobby) link.open();
    }
    now.camera = camera;
    byId("camera").hidden = camera === null;
    curtain();
  },
  hello(message) {
    now.stream = message.stream || byId("stream").value || "main";
    now.ended = null;
    settings.offer(message.classes);
    document.title = `${now.stream} · StreamAVIS`;
    curtain();
  },
  settings: (message) => settings.receive(message),
  status(message) {
    health.status(message);
    const total = message.latency.total;
    say(byId("total"), total ? total.p50_ms.toFixed(0) : "–");
    alertAbout(message);
  },
  heard(message) {
    hearing.hear(message);
    timeline.hear(message.level_dbfs);
  },
  event: (message) => health.event(message),
  gap: (message) => health.gap(message),
  eos(message) {
    const how = { ended: "The stream has ended.", stopped: "The engine was stopped." };
    now.ended = how[message.reason] ?? `The engine failed${message.detail && `: ${message.detail}`}.`;
    health.log(Date.now() / 1000, message.reason, now.ended);
    curtain();
  },
  refused({ reason }) {
    say(byId("refusal"), reason);
    byId("refusal").hidden = false;
  },
};

function text(message) {
  handlers[message.kind]?.(message);
}

async function picture({ result, colours }, jpeg) {
  try {
    if (result.boot_id !== now.boot) restart(result.boot_id);
    timeline.add(result, colours);
    objects.update(result, colours, settings.values.sounding_from);
    if (!now.paused) await stage.show(result, colours, jpeg);
    now.pictures.push(performance.now());
    curtain();
  } finally {
    link.send({ kind: "drawn" });
  }
}

/** Another engine run: its time and ids start anew. */
function restart(boot) {
  now.boot = boot;
  now.ended = null;
  health.told = 0;
  timeline.clear();
  objects.clear();
}

function phase(name) {
  if (name === "open") health.log(Date.now() / 1000, "running", "connected to the server");
  else if (now.phase === "open") {
    health.log(Date.now() / 1000, "failed", "connection to the server lost");
    now.stream = null;
    now.pictures = [];
  }
  if (!(now.phase === "refused" && name === "lost")) now.phase = name;
  curtain();
}

function apply(values) {
  stage.soundingFrom = values.sounding_from;
  timeline.soundingFrom = values.sounding_from;
  byId("refusal").hidden = true;
  stage.ask();
  timeline.ask();
}

/** What lies over the picture while there is none, or an old one; and the pill above it. */
function curtain() {
  const fresh = now.pictures.length > 0;
  const asks = now.camera !== null && !now.camera.busy && now.lending !== "on";
  let words = null;
  if (now.phase !== "open") words = WORDS[now.phase];
  else if (now.ended) words = now.ended;
  else if (asks && !fresh) words = WORDS.camera;
  else if (!fresh) words = WORDS.waiting;
  byId("curtain").hidden = words === null;
  if (words) say(byId("curtain-text"), words);
  const lend = now.phase === "open" && asks && words !== null;
  byId("lend").hidden = !lend;
  byId("lend-note").hidden = !lend;
  byId("lend-again").hidden = !asks;
  pill();
}

function pill() {
  const element = byId("phase");
  const [state, words] =
    now.phase !== "open"
      ? [now.phase, { connecting: "connecting", lost: "reconnecting", refused: "no entry" }[now.phase]]
      : now.ended
        ? ["ended", "ended"]
        : now.paused
          ? ["paused", "paused"]
          : now.pictures.length
            ? ["running", "live"]
            : ["starting", "waiting"];
  element.dataset.state = state;
  say(element, words);
}

function alertAbout({ audio, video, source, model }) {
  const words = [];
  if (model === "failed") words.push("The model keeps failing; it is tried again every 5 s.");
  if (source === "running" || source === "starting") {
    if (video === "lost") words.push("The camera is lost; what you see is the last picture.");
    if (video === "stale") words.push("The camera shows the same picture again and again.");
    if (audio === "lost") words.push("The microphone is not heard: who sounds is unknown.");
    const last = now.pictures[now.pictures.length - 1];
    if (!now.paused && last && performance.now() - last > STALE_MS) {
      words.push(`No new picture for ${Math.round((performance.now() - last) / 1000)} s.`);
    }
  }
  byId("alert").hidden = words.length === 0;
  byId("alert").dataset.state = "warn";
  say(byId("alert"), words.join(" "));
}

/** What became of this device's camera. */
function lent(state, words) {
  now.lending = state;
  say(byId("camera-text"), words);
  byId("lend-stop").hidden = state !== "on";
  if (state === "failed") {
    say(byId("lend-note"), words);
    health.log(Date.now() / 1000, "failed", words);
  }
  curtain();
}

function lend() {
  capture.start();
}

byId("lend").addEventListener("click", lend);
byId("lend-again").addEventListener("click", lend);
byId("lend-stop").addEventListener("click", () => {
  capture.stop();
  lent("off", "Nothing is sent.");
});
byId("stream").addEventListener("change", ({ target }) => {
  stage.clear();
  hearing.clear();
  health.clear();
  now.pictures = [];
  link.open(target.value);
});
tools(stage, (paused) => {
  now.paused = paused;
  curtain();
});

setInterval(() => {
  const since = performance.now() - 2000;
  now.pictures = now.pictures.filter((at, n, all) => at > since || n === all.length - 1);
  const recent = now.pictures.filter((at) => at > since);
  const spread = recent[recent.length - 1] - recent[0];
  say(byId("rate"), recent.length > 2 ? ((1000 * (recent.length - 1)) / spread).toFixed(1) : "–");
}, 500);

link.open();
