// The buttons over the picture and their keys.

import { byId, make } from "./dom.js";

/**
 * @param {() => import("./stage.js").Stage} stage what is shown now
 * @param {{pause, masks, listen, record, grid: (on: boolean) => void}} on what the buttons do
 */
export function tools(stage, on) {
  const pressed = (id) => {
    const down = byId(id).getAttribute("aria-pressed") !== "true";
    byId(id).setAttribute("aria-pressed", String(down));
    return down;
  };
  const actions = {
    pause: () => on.pause(pressed("pause")),
    masks: () => on.masks(pressed("masks")),
    listen: () => on.listen(pressed("listen")),
    record: () => on.record(),
    grid: () => !byId("all").hidden && on.grid(),
    save: () => save(stage()),
    full: () => (document.fullscreenElement ? document.exitFullscreen() : (byId("stage").hidden ? byId("grid") : byId("stage")).requestFullscreen()),
    help: () => byId("keys").showModal(),
  };
  for (const [id, action] of Object.entries(actions)) byId(id === "grid" ? "all" : id).addEventListener("click", action);
  const keys = { " ": "pause", m: "masks", l: "listen", r: "record", s: "save", g: "grid", f: "full", "?": "help" };
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
