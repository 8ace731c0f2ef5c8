// The buttons over the picture and their keys.

import { byId, make } from "./dom.js";

/**
 * @param {import("./stage.js").Stage} stage
 * @param {(paused: boolean) => void} onPause
 */
export function tools(stage, onPause) {
  const pressed = (id) => {
    const on = byId(id).getAttribute("aria-pressed") !== "true";
    byId(id).setAttribute("aria-pressed", String(on));
    return on;
  };
  const actions = {
    pause: () => onPause(pressed("pause")),
    masks: () => {
      stage.masks = pressed("masks");
      stage.ask();
    },
    save: () => save(stage),
    full: () => (document.fullscreenElement ? document.exitFullscreen() : byId("stage").requestFullscreen()),
    help: () => byId("keys").showModal(),
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  const keys = { " ": "pause", m: "masks", s: "save", f: "full", "?": "help" };
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("button, input, select, dialog, a");
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key === " ")) return;
    // A closed dialog keeps the focus until the page is drawn again: only an open one has the keys.
    if (event.target.closest("select, dialog[open]")) return;
    const id = keys[event.key];
    if (!id) return;
    event.preventDefault();
    actions[id]();
  });
}

async function save(stage) {
  const blob = await stage.png();
  if (!blob) return;
  const address = URL.createObjectURL(blob);
  const time = new Date().toISOString().slice(0, 19).replace(/\D/g, "-");
  make("a", { href: address, download: `streamavis-${time}.png` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
