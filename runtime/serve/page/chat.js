// The chat: which conversation is shown, where one writes, and what is in sight of it.

import * as api from "./api.js";
import * as conversations from "./conversations.js";
import { $, h } from "./dom.js";
import { Talk } from "./talk.js";

const NEAR = 80; // pixels from the end that count as the end
const talks = new Map(); // by id: those that are being answered, and the one that is shown
let shown = null;
let state = null;
let following = true; // whether the end is kept in sight
let tell = null;

export const current = () => shown;

/** `told(state)` hears what the daemon says of itself. */
export function start(told) {
  tell = told;
  $("composer").addEventListener("submit", (event) => (event.preventDefault(), send()));
  $("stop").addEventListener("click", stop);
  $("message").addEventListener("input", grow);
  $("message").addEventListener("keydown", typed);
  $("latest").addEventListener("click", toEnd);
  $("model").addEventListener("change", choose);
  $("scroll").addEventListener("scroll", () => {
    const { scrollHeight, scrollTop, clientHeight } = $("scroll");
    following = scrollHeight - scrollTop - clientHeight < NEAR;
    $("latest").hidden = following;
  });
  new ResizeObserver(() => following && toEnd()).observe($("scroll").appendChild(h("div", { class: "holder" })));
}

/** The models that there are, and what the daemon has to say, may be others now. */
export async function look() {
  try {
    state = await api.state();
    tell(state);
  } catch (error) {
    tell({ models: [], notices: [error.message] });
  }
  if (shown) draw();
  else drawModels();
}

/** Shows a conversation, or a new one for null. */
export async function show(id) {
  const begun = id ? talks.get(id) : shown && !shown.id && shown; // nothing is lost of a chat that is not begun yet
  const talk =
    begun ||
    new Talk(
      () => heard(talk),
      (text) => ($("message").value ||= text) && grow(),
    );
  settle(talk);
  if (id && talk.id !== id) {
    try {
      await talk.load(id);
      if (shown === talk) talks.set(id, talk);
    } catch (error) {
      talk.id = id;
      talk.element.replaceChildren(h("p", { class: "trouble", role: "alert" }, error.message));
    }
  }
  if (shown === talk) draw();
  toEnd();
}

export async function stop() {
  await shown?.stop();
  focus();
}

export const address = () => (shown?.id ? `#/c/${shown.id}` : "#/");
export const isAnswering = () => Boolean(shown?.answering);
export const focus = () => $("message").focus();

function settle(talk) {
  if (shown && !shown.answering) talks.delete(shown.id);
  shown = talk;
  $("scroll").firstChild.replaceChildren(talk.element);
  draw();
}

/** Something about a conversation has changed, of one that is shown or not. */
async function heard(talk) {
  if (talk.id && !talks.has(talk.id)) {
    talks.set(talk.id, talk);
    if (talk === shown) history.pushState(null, "", `#/c/${talk.id}`);
  }
  if (talk === shown) draw();
  const found = await conversations.refresh();
  const heading = found?.find((each) => each.id === talk.id);
  if (heading) talk.title = heading.title;
  if (talk === shown) draw();
  else if (!talk.answering) talks.delete(talk.id);
  if (!talk.answering) look();
}

function draw() {
  if (!$("chat").hidden) {
    $("title").textContent = shown.title || "New chat";
    document.title = shown.title ? `${shown.title} – accel` : "accel";
    conversations.mark(shown.id);
  }
  $("send").hidden = shown.answering;
  $("stop").hidden = !shown.answering;
  drawModels();
  shown.greet(state);
}

function drawModels() {
  if (!state) return;
  const names = state.models.map((model) => model.name);
  const wanted = shown?.model || state.default;
  const missing = names.includes(wanted) ? [] : [h("option", { value: wanted }, `${wanted} (not here)`)];
  $("model").replaceChildren(...names.map((name) => h("option", { value: name }, name)), ...missing);
  $("model").value = wanted;
}

async function choose() {
  shown.model = $("model").value;
  if (shown.id)
    await api.change(shown.id, { model: shown.model }).catch((error) => ($("said").textContent = error.message));
  draw();
}

function send() {
  const text = $("message").value;
  if (!text.trim() || shown.answering) return;
  $("message").value = "";
  grow();
  following = true;
  shown.ask(text);
  if (!touches()) focus();
}

function typed(event) {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !touches()) {
    event.preventDefault();
    send();
  } else if (event.key === "ArrowUp" && !$("message").value && !shown.answering) {
    event.preventDefault();
    shown.editLast();
  }
}

/** Keyboards on glass have no Shift+Enter, and cover half of the page. */
const touches = () => matchMedia("(pointer: coarse)").matches;

/** The field is as high as what is written, within the limit of its style. */
function grow() {
  $("message").style.height = "auto";
  $("message").style.height = `${$("message").scrollHeight}px`;
}

function toEnd() {
  following = true;
  $("latest").hidden = true;
  $("scroll").scrollTop = $("scroll").scrollHeight;
}
