// The page: what its address shows, and how its parts are put to work.

import * as api from "./api.js";
import * as chat from "./chat.js";
import * as conversations from "./conversations.js";
import * as details from "./details.js";
import { $, h } from "./dom.js";
import * as key from "./key.js";
import * as keys from "./keys.js";
import * as live from "./live.js";
import * as plan from "./plan.js";
import * as side from "./side.js";

const VIEWS = { "#/plan": plan, "#/live": live };

async function show() {
  const view = VIEWS[location.hash];
  side.close();
  $("chat").hidden = $("details").hidden = Boolean(view);
  for (const each of Object.values(VIEWS)) {
    each.element.hidden = each !== view;
    if (each !== view) each.leave();
  }
  for (const link of document.querySelectorAll(".views a")) {
    if (link.id === (view ? `to-${view.element.id}` : "to-chat")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view) {
    conversations.mark(null);
    $("to-chat").href = chat.address();
    $("title").textContent = view.title;
    document.title = `${view.title} – accel`;
    await view.show($("model").value);
  } else {
    await chat.show(/^#\/c\/(\w+)$/.exec(location.hash)?.[1] ?? null);
    if (matchMedia("(pointer: fine)").matches) chat.focus();
  }
}

function notices(state) {
  const cautions = state.models.flatMap((model) => (model.cautions ?? []).map((words) => `${model.name}: ${words}`));
  $("notices").replaceChildren(...[...state.notices, ...cautions].map((words) => h("p", {}, words)));
}

async function begin() {
  key.start();
  api.whenKeyIsNeeded(key.askForKey);
  for (const part of [side, conversations, details, keys]) part.start();
  chat.start(notices);
  $("new").addEventListener("click", () => (location.hash === "#/" ? show() : (location.hash = "#/")));
  $("skip").addEventListener("click", (event) => (event.preventDefault(), chat.focus()));
  $("model").addEventListener("change", () => VIEWS[location.hash]?.show($("model").value));
  addEventListener("hashchange", show);
  await chat.look();
  await Promise.all([show(), conversations.refresh()]);
}

begin();
