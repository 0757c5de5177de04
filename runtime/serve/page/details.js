// What belongs to a conversation beside its messages: title, system prompt, export, deletion.

import * as api from "./api.js";
import * as chat from "./chat.js";
import * as conversations from "./conversations.js";
import { $ } from "./dom.js";

const dialog = $("details-dialog");

export function start() {
  $("details").addEventListener("click", open);
  $("details-cancel").addEventListener("click", () => dialog.close());
  $("details-form").addEventListener("submit", (event) => (event.preventDefault(), trying(save)));
  $("export-md").addEventListener("click", () => trying(() => api.save(chat.current().id, "md")));
  $("export-json").addEventListener("click", () => trying(() => api.save(chat.current().id, "json")));
  $("delete").addEventListener("click", remove);
}

function open() {
  const talk = chat.current();
  $("edit-title").value = talk.title;
  $("edit-system").value = talk.system ?? "";
  $("details-error").textContent = "";
  $("delete").textContent = "Delete";
  $("edit-title").disabled = !talk.id;
  $("details-more").hidden = !talk.id;
  dialog.showModal();
}

async function save() {
  const talk = chat.current();
  if (talk.id) {
    const given = { title: $("edit-title").value, system: $("edit-system").value };
    await api.change(talk.id, given);
    Object.assign(talk, given);
  } else if ($("edit-system").value) {
    talk.system = $("edit-system").value; // of the conversation that the first message begins
  }
  dialog.close();
  talk.heard();
}

/** Asks once more before all of it is gone. */
async function remove() {
  if ($("delete").textContent === "Delete") {
    $("delete").textContent = "Delete for good?";
    return;
  }
  await trying(async () => {
    await api.remove(chat.current().id);
    dialog.close();
    await conversations.refresh();
    location.hash = "#/";
  });
}

async function trying(work) {
  try {
    await work();
  } catch (error) {
    $("details-error").textContent = error.message;
  }
}
