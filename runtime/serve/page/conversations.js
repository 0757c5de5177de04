// The list of conversations, and the search in it.

import * as api from "./api.js";
import { $, h } from "./dom.js";
import { day } from "./format.js";

const PATIENCE = 150; // milliseconds without a letter until a search begins
let current = null;
let waiting = 0;
let asked = 0;

export function start() {
  $("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, PATIENCE);
  });
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && $("search").value) {
      event.stopPropagation();
      $("search").value = "";
      refresh();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      const first = $("list").querySelector("a");
      if (event.key === "Enter") first?.click();
      else first?.focus();
    }
  });
  $("list").addEventListener("keydown", walk);
}

/** Marks the conversation that is shown. */
export function mark(id) {
  current = id;
  for (const link of $("list").querySelectorAll("a")) {
    if (link.dataset.id === id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Asks the daemon anew; gives the headings, or null where it does not answer. */
export async function refresh() {
  const number = ++asked;
  const search = $("search").value;
  const found = await api.headings(search).catch(() => null);
  if (!found || number !== asked) return found; // a later search is on its way
  draw(found, search);
  return found;
}

function draw(found, search) {
  const focused = document.activeElement?.closest("#list a")?.dataset.id;
  const groups = grouped(found, (each) => (search ? "Found" : day(each.changed)));
  const parts = [...groups].map(([name, headings]) => [h("h2", {}, name), h("ol", {}, headings.map(item))]);
  $("list").replaceChildren(...parts.flat());
  if (!found.length)
    $("list").append(h("p", { class: "faint" }, search ? "Nothing was found." : "No conversations yet."));
  mark(current);
  if (focused)
    $("list")
      .querySelector(`a[data-id="${CSS.escape(focused)}"]`)
      ?.focus();
}

function item({ id, title, excerpt }) {
  const words = [
    h("span", { class: "name" }, title || "New chat"),
    excerpt && h("span", { class: "excerpt" }, excerpt),
  ];
  return h("li", {}, h("a", { href: `#/c/${id}`, "data-id": id, title }, words));
}

/** Arrow keys move along the list; beyond its top is the search. */
function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const links = [...$("list").querySelectorAll("a")];
  const next = links.indexOf(document.activeElement) + step;
  (links[next] ?? (next < 0 ? $("search") : null))?.focus();
}

function grouped(items, name) {
  const groups = new Map();
  for (const each of items) {
    const group = groups.get(name(each)) ?? [];
    groups.set(name(each), group);
    group.push(each);
  }
  return groups;
}
