// The side of the page, which a narrow one shows only when it is asked for.

import { $ } from "./dom.js";

export function start() {
  $("open-side").addEventListener("click", () => (open(), $("close-side").focus()));
  $("close-side").addEventListener("click", close);
  $("veil").addEventListener("click", close);
}

export function open() {
  document.body.classList.add("side-open");
  $("open-side").setAttribute("aria-expanded", "true");
}

/** Whether it was open over the rest. */
export function close() {
  const covers = document.body.classList.contains("side-open") && getComputedStyle($("open-side")).display !== "none";
  const focused = $("side").contains(document.activeElement);
  document.body.classList.remove("side-open");
  $("open-side").setAttribute("aria-expanded", "false");
  if (covers && focused) $("open-side").focus();
  return covers;
}
