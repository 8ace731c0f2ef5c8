// The state of a stream as text: the pill, the alerts and the overlay on an old picture come from here.
// It reads `source`, `video`, `audio` and `model` of the status.

import { wallTime } from "./dom.js";

const STALE_MS = 2000; // without a new picture, or three times as long as they usually take
const LINK = {
  connecting: ["connecting", "Connecting…"],
  lost: ["reconnecting", "The connection is lost. Trying again…"],
  refused: [
    "no access",
    "Open the link that StreamAVIS printed when it started. Each start prints a new link.",
  ],
};
const CAMERA = {
  stalled: "The camera sends no pictures.",
  reconnecting: "The camera is lost. It is being reopened.",
  failed: "The camera has failed.",
  ended: "The camera has ended.",
};

/**
 * @param {object} now
 * @param {"connecting" | "open" | "lost" | "refused"} now.phase of the connection
 * @param {{words: string} | null} now.ended the end-of-stream message
 * @param {object | null} now.status the newest
 * @param {boolean} now.replay a recording
 * @param {boolean} now.paused here only
 * @param {boolean} now.asks the server takes a browser's camera
 * @param {{at: number, taken: number, interval: number} | null} now.picture the newest: when it was
 *   drawn (ms, this page's clock) and taken (s since 1970, the server's), ms between two
 * @param {number} at ms, this page's clock
 * @param {number} server s since 1970, the server's clock
 * @returns {{state: string, word: string, overlay: string | null, date: string | null,
 *   alerts: string[]}} `overlay` is shown on the picture, `date` is the time of the old picture
 */
export function condition(now, at, server) {
  const { phase, ended, status, picture } = now;
  const alerts = [];
  const date = picture ? dated(picture.taken, server) : null;
  const said = (state, word, overlay) => ({ state, word, overlay, date, alerts });
  if (ended) {
    const gone = phase === "lost" ? " The program on the server has ended too." : "";
    return said("ended", "ended", ended.words + gone);
  }
  if (phase !== "open") return said(phase, ...LINK[phase]);
  if (now.asks) return said("starting", "waiting", "This server uses the camera of a browser.");
  if (status?.model === "failed") alerts.push("The model keeps failing. It is retried every 5 s.");
  const camera = cameraOf(status);
  if (!picture) {
    return said("starting", camera ? camera.state : "starting", camera?.words ?? "Waiting for the first picture…");
  }
  if (status?.audio === "lost") alerts.push("The microphone is lost: sounding is unknown.");
  if (camera) return said(camera.state, camera.state, camera.words);
  // By the server's clock, so that a picture that arrives late counts as old.
  const age = status ? 1000 * (server - picture.taken) : at - picture.at;
  const late = age > Math.max(STALE_MS, 3 * picture.interval);
  if (late && !now.paused) return said("stalled", "no new picture", "No new picture.");
  const fresh = { ...said("running", now.replay ? "replay" : "live", null), date: null };
  if (now.paused) return { ...fresh, state: "paused", word: "paused" };
  if (status?.video === "stale") {
    alerts.push("The camera repeats one picture.");
    return { ...fresh, state: "stalled", word: "frozen" };
  }
  return fresh;
}

/** The state of a camera that gives no pictures, and its text; null: it gives pictures. */
function cameraOf(status) {
  if (!status) return null;
  const { source, video, inputs } = status;
  const words = CAMERA[source] ?? (video === "lost" ? CAMERA.stalled : null);
  if (words === null) return null;
  const reason = inputs.find(({ modality }) => modality === "video")?.reason;
  return { state: source in CAMERA ? source : "stalled", words: reason ? `${words} (${reason})` : words };
}

function dated(taken, server) {
  const ago = Math.max(0, Math.round(server - taken));
  return `Picture of ${wallTime(taken)}, ${ago} s ago`;
}
