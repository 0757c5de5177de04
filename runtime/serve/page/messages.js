// How one message looks: a question, or an answer while it is given and after.

import { copyButton, h, icon } from "./dom.js";
import { count, rate, seconds } from "./format.js";
import { Growing } from "./markdown.js";

const ENDINGS = {
  cancelled: "Stopped.",
  length: "As long as answers may be here.",
  context: "The context is full.",
};

/** A question; `edit(text)` puts another in its place. */
export function question(number, text, edit) {
  const body = h("div", { class: "words", dir: "auto" }, text);
  const tools = h(
    "div",
    { class: "tools" },
    h(
      "button",
      { type: "button", class: "quiet edit", "aria-label": `Edit message ${number + 1}`, onclick: () => editing() },
      "Edit",
    ),
    copyButton(() => text, `Copy message ${number + 1}`),
  );
  const element = h("article", { class: "question", "aria-label": "You" }, body, tools);

  function editing() {
    const area = h("textarea", { "aria-label": `Another text for message ${number + 1}`, rows: "3" });
    area.value = text;
    const close = () => {
      form.replaceWith(body, tools);
      tools.querySelector(".edit").focus();
    };
    const send = () => area.value.trim() && edit(area.value);
    const form = h(
      "form",
      { class: "editing", onsubmit: (event) => (event.preventDefault(), send()) },
      area,
      h("p", { class: "faint" }, "What was said after it goes."),
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", onclick: close }, "Cancel"),
        h("button", { type: "submit", class: "primary" }, "Send"),
      ),
    );
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") (event.stopPropagation(), close());
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) (event.preventDefault(), send());
    });
    tools.remove();
    body.replaceWith(form);
    area.focus();
  }

  return element;
}

/** An answer. It grows with `add`, at most once a frame; `end` or `fail` closes it. */
export class Answer {
  #text = "";
  #thought = "";
  #began = performance.now();
  #frame = 0;
  #body = h("div", { class: "words", "aria-live": "polite", "aria-busy": "true" });
  #growing = new Growing(this.#body);
  #thinking = null;
  #status = h("div", { class: "status" }, h("span", { class: "pulse", "aria-hidden": "true" }), h("span", {}));
  #foot = h("footer", { class: "tools" });

  constructor() {
    this.element = h("article", { class: "answer", "aria-label": "Answer" }, this.#body, this.#status, this.#foot);
  }

  /** One that was given before. */
  static kept(message) {
    const answer = new Answer();
    answer.#thought = message.thought;
    answer.#text = message.content;
    answer.#close(ENDINGS[message.reason] ?? "");
    return answer;
  }

  get text() {
    return this.#text;
  }

  get begun() {
    return Boolean(this.#text || this.#thought);
  }

  /** What is being done, until there is a text; `done` is a share of it. */
  status(words, done = null) {
    this.#status.lastChild.textContent = words;
    this.#status.querySelector("progress")?.remove();
    if (done !== null) this.#status.append(h("progress", { max: "1", value: `${done}`, "aria-label": words }));
  }

  add(text, thought) {
    if (thought) this.#thought += text;
    else this.#text += text;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  notice(text) {
    this.element.before(h("p", { class: "notice", role: "status" }, text));
  }

  end({ reason, usage, timings }) {
    const parts = [ENDINGS[reason]];
    if (usage && timings) {
      if (usage.generated > 1 && timings.decode > 0)
        parts.push(`${rate((usage.generated - 1) / timings.decode)} tokens/s`);
      parts.push(count(usage.generated, "token"));
      parts.push(`${seconds(timings.waited + timings.prefill)} to the first`);
      if (usage.reused) parts.push(`${usage.reused} of ${usage.prompt} read before`);
    }
    this.#close(parts.filter(Boolean).join(" · "));
  }

  /** `again` asks once more. */
  fail(message, again) {
    this.#close("");
    this.element.append(trouble(message, again));
  }

  /** What may be done with the last answer alone. */
  offer(retry) {
    this.#foot.querySelector(".retry")?.remove();
    if (retry)
      this.#foot.prepend(
        h("button", { type: "button", class: "quiet retry", "aria-label": "Answer again", onclick: retry }, "Retry"),
      );
  }

  #draw() {
    this.#frame = 0;
    if (this.#thought) this.#drawThought();
    if (!this.#text) return;
    if (this.#thinking?.open && !this.#thinking.dataset.chosen) this.#thinking.open = false;
    this.#growing.show(this.#text);
    this.#status.hidden = true;
  }

  #drawThought() {
    if (!this.#thinking) {
      this.#thinking = h("details", { class: "thought" }, h("summary", {}, "Thinking…"), h("div", { dir: "auto" }));
      this.#thinking.firstChild.addEventListener("click", () => (this.#thinking.dataset.chosen = "yes"));
      this.#body.before(this.#thinking);
    }
    this.#thinking.lastChild.textContent = this.#thought.trim();
    if (this.#text) this.#named();
  }

  #named() {
    const took = (performance.now() - this.#began) / 1000;
    const summary = this.#thinking.firstChild;
    if (summary.textContent === "Thinking…")
      summary.textContent = took > 1 ? `Thought for ${seconds(took)}` : "Thoughts";
  }

  #close(words) {
    cancelAnimationFrame(this.#frame);
    if (this.#thought) this.#drawThought();
    if (this.#thinking) this.#named();
    this.#growing.finish(this.#text);
    this.#status.remove();
    this.#body.setAttribute("aria-busy", "false");
    this.#foot.append(
      copyButton(() => this.#text, "Copy the answer"),
      h("span", { class: "faint" }, words || (this.#text ? "" : "It said nothing.")),
    );
  }
}

/** Something that went wrong, and a way on. */
export function trouble(message, again) {
  return h(
    "p",
    { class: "trouble", role: "alert" },
    h("span", {}, message),
    again && h("button", { type: "button", onclick: again }, "Try again"),
  );
}

export function welcome(model) {
  const context = model?.context
    ? `${model.context.toLocaleString("en")} tokens of context`
    : "opens with your first message";
  return h(
    "div",
    { class: "welcome" },
    icon("mark"),
    h("h2", {}, "What is on your mind?"),
    model && h("p", {}, `${model.name} · ${context}`),
    h("p", { class: "faint" }, "What you write is sent to nobody else."),
  );
}
