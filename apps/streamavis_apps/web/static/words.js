// How a label, a percentage, an id, a delay and a state are written. `streamavis/words.py` has the
// same functions for window and terminal, and a test compares the two.

export const UNKNOWN = "unknown";
const SOUND = {
  ok: "sound",
  gap: "sound with gaps",
  lost: "microphone lost",
  absent: "no microphone",
};
const round = (value) => Math.floor(value + 0.5);

/** The name of an object: `dog 3`. */
export const nameOf = (label, id) => `${label} ${id}`;

/** A probability, 0 to 1, as `93 %`; null is `unknown`. */
export const percent = (share) => (share === null ? UNKNOWN : `${round(100 * share)} %`);

/** Whether an object sounds: `93 %`, `silent`, or `unknown`. */
export function soundingWords(track, threshold = 0.5) {
  return track.sounding === null || track.sounding >= threshold ? percent(track.sounding) : "silent";
}

/** The state of the sound; of a recording without any: `no sound`. */
export const soundState = (audio, live = true) =>
  audio === "absent" && !live ? "no sound" : SOUND[audio];

/** Loudness: `-32 dBFS`; null, no sound arrives, is `unknown`. */
export const level = (dbfs) => (dbfs === null ? UNKNOWN : `${round(dbfs)} dBFS`);

/** Where the sound comes from: `sound from 23° right`; null, without an array, is empty. */
export function direction(sound) {
  if (!sound) return "";
  if (sound.azimuth === null) return `direction of the sound ${UNKNOWN}`;
  const away = Math.abs(sound.azimuth);
  if (away < 2.5) return "sound from straight ahead";
  return `sound from ${round(away)}° ${sound.azimuth > 0 ? "right" : "left"}`;
}

/** A delay: `62 ms`; from one second on `1.8 s`. */
export const delay = (ms) => (ms < 1000 ? `${round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** A position in a recording: `1:05.2`. */
export function clockTime(seconds) {
  const tenths = round(10 * Math.max(0, seconds));
  const rest = String(Math.floor(tenths / 10) % 60).padStart(2, "0");
  return `${Math.floor(tenths / 600)}:${rest}.${tenths % 10}`;
}

/** The classes of a model: `nano detects: dog, drum`. */
export const detects = (model, classes) => `${model} detects: ${classes.join(", ")}`;

/** Nothing is detected; objects of other classes may be in view. */
export const noneInView = (model) => `none of the classes of ${model} is in view`;
