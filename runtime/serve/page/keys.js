// The keyboard: every shortcut once, with its words for the help. All have a modifier, so that nothing that is typed or
// spoken meets one by chance.

import * as chat from "./chat.js";
import { $, h } from "./dom.js";
import * as side from "./side.js";

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const MAIN = MAC ? "⌘" : "Ctrl";
const ALT = MAC ? "⌥" : "Alt";

const SHORTCUTS = [
  { keys: [ALT, "N"], words: "New chat", is: (event) => alt(event, "KeyN"), run: () => $("new").click() },
  { keys: [MAIN, "K"], words: "Search conversations", is: (event) => main(event, "KeyK"), run: search },
  { keys: [ALT, "I"], words: "Write a message", is: (event) => alt(event, "KeyI"), run: write },
  { keys: [ALT, "P"], words: "The plan", is: (event) => alt(event, "KeyP"), run: () => $("to-plan").click() },
  { keys: [ALT, "L"], words: "Live figures", is: (event) => alt(event, "KeyL"), run: () => $("to-live").click() },
  {
    keys: [MAIN, "/"],
    words: "This help",
    is: (event) => main(event, "Slash"),
    run: () => $("help-dialog").showModal(),
  },
];
const OTHERS = [
  { keys: ["Enter"], words: "Send" },
  { keys: ["Shift", "Enter"], words: "A new line" },
  { keys: ["↑"], words: "In an empty message: edit the last one" },
  { keys: ["Esc"], words: "Stop the answer; close what is open" },
];

export function start() {
  $("help").addEventListener("click", () => $("help-dialog").showModal());
  $("keys").replaceChildren(
    ...[...SHORTCUTS, ...OTHERS].map(({ keys, words }) =>
      h(
        "div",
        {},
        h(
          "dt",
          {},
          keys.map((key) => h("kbd", {}, key)),
        ),
        h("dd", {}, words),
      ),
    ),
  );
  document.addEventListener("keydown", pressed);
}

function pressed(event) {
  if (document.querySelector("dialog[open]")) return; // a dialog has its own
  if (event.key === "Escape") return escape();
  const found = SHORTCUTS.find((shortcut) => shortcut.is(event));
  if (!found) return;
  event.preventDefault();
  found.run();
}

function escape() {
  if (side.close()) return;
  if (chat.isAnswering()) chat.stop();
  else chat.focus();
}

function search() {
  side.open();
  $("search").focus();
  $("search").select();
}

function write() {
  if ($("chat").hidden) $("to-chat").click();
  side.close();
  chat.focus();
}

const alt = (event, code) => event.code === code && event.altKey && !event.ctrlKey && !event.metaKey;
const main = (event, code) =>
  event.code === code && (MAC ? event.metaKey : event.ctrlKey) && !event.altKey && !event.shiftKey;
