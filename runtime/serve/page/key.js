// Asks for a key where the daemon wants one; it is kept for as long as this tab is open.

import { $ } from "./dom.js";

const dialog = $("key-dialog");

/** Promises a key; `wrong`: the last one was not taken. */
export function askForKey(wrong) {
  $("key-error").textContent = wrong ? "accel does not take this key." : "";
  $("key").value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((given) => {
    $("key-form").addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        dialog.close();
        given($("key").value.trim());
      },
      { once: true },
    );
  });
}

export function start() {
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // without a key there is nothing to see
}
