// What is cached of prompts, beside a button that lets it go. It stays where it is while the figures around it are drawn
// anew: who has come to the button stays there.

import * as api from "./api.js";
import { $, h } from "./dom.js";
import { bytes, count } from "./format.js";

const CLEAR = "Clear";
const words = h("span", { class: "faint" });
const error = h("p", { class: "error", role: "alert" });
const button = h("button", { type: "button", class: "danger", id: "clear-cache" }, CLEAR);
button.setAttribute("aria-labelledby", "clear-cache cache-title"); // its own words come first
let model = "";

export const element = h(
  "section",
  {},
  h(
    "div",
    { class: "row" },
    h("h3", {}, h("span", { id: "cache-title" }, "Cache"), words),
    h("span", { class: "grow" }),
    button,
  ),
  error,
);
button.addEventListener("click", clear);
button.addEventListener("blur", reset);
button.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || button.textContent === CLEAR) return;
  event.stopPropagation();
  reset();
});

/** `now`: live figures of the model `name`. */
export function draw(name, now) {
  model = name;
  const sizes = `${bytes(now.prompts_in_memory)} in memory, ${bytes(now.prompts_on_disk)} on disk`;
  words.textContent = ` ${count(now.prompts, "prompt")} beside the context: ${sizes}, ${count(now.prompts_hits, "hit")}`;
}

export function leave() {
  reset();
  error.textContent = "";
}

function reset() {
  button.textContent = CLEAR;
}

/** Asks once more before all of it is gone. */
async function clear() {
  error.textContent = "";
  if (button.textContent === CLEAR) {
    button.textContent = "Clear for good?";
    return;
  }
  reset();
  const name = model;
  try {
    await api.clear(name);
    $("said").textContent = `What ${name} had cached is cleared.`;
  } catch (failure) {
    error.textContent = failure.message;
  }
}
