// Small helpers for the page.

/** The element of an id; a misspelt one is a bug. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}

/** Make an element: attributes by name, children as elements or text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Set text only where it changes: screen readers and layout stay quiet. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A canvas as sharp as the screen; returns its context, in CSS pixels, and its size. */
export function sharp(canvas) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

/** The value of a custom property of the page's style. */
export function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export const rgb = ([r, g, b], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`;

export const wallTime = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });

/** True when the system asks for reduced motion. */
export const still = matchMedia("(prefers-reduced-motion: reduce)");
