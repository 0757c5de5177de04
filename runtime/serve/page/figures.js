// How a figure looks, and how full something is: of the plan and of live figures.

import { h, sized } from "./dom.js";

export function figure(name, value, unit, words) {
  return h(
    "div",
    { class: "figure" },
    h("p", { class: "name" }, name),
    h("p", { class: "value" }, value, unit && h("small", {}, ` ${unit}`)),
    h("p", { class: "faint" }, words),
  );
}

/** Beyond all of it is told by colour and words. */
export function level(name, part, whole, words) {
  const over = part > whole;
  const filled = h("span", { class: over ? "filled over" : "filled" });
  sized(filled, { width: `${whole ? Math.min(100, (100 * part) / whole) : 0}%` });
  return [
    h("h3", {}, name, h("span", { class: "faint" }, ` ${words}${over ? ", more than that" : ""}`)),
    h("div", { class: "track", role: "img", "aria-label": `${name}: ${words}` }, filled),
  ];
}
