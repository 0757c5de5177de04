// A block of code, with its language's name and a button that copies it.

import { copyButton, h } from "./dom.js";

export function codeBlock(text, language) {
  const name = language.slice(0, 40);
  return h(
    "figure",
    { class: "code" },
    h(
      "figcaption",
      {},
      h("span", {}, name || "code"),
      copyButton(() => text, "Copy the code"),
    ),
    h("pre", { tabindex: "0", role: "group", "aria-label": name ? `Code in ${name}` : "Code" }, h("code", {}, text)),
  );
}
