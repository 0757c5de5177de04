// One conversation as it is shown, and the answer that is being given in it. It goes on when another is shown.

import * as api from "./api.js";
import { h } from "./dom.js";
import { Answer, question, trouble, welcome } from "./messages.js";

const LOOK = 1000; // milliseconds between two looks at why nothing comes
const GRACE = 4000; // milliseconds for an answer that is stopped to end by itself

export class Talk {
  id = null;
  title = "";
  model = ""; // "" is the daemon's first
  system = null; // null is the settings' own, of one that was not begun yet
  #messages = []; // {role, content}
  #views = []; // of each message an element
  #answer = null; // the last one's view
  #abort = null; // of the answer that is being given

  /** `heard()` is called when what others show of it may have changed, `lost(text)` with words that were not kept. */
  constructor(heard, lost) {
    this.element = h("div", { class: "thread" });
    this.heard = heard;
    this.lost = lost;
  }

  get answering() {
    return this.#abort !== null;
  }

  get last() {
    return this.#messages.at(-1);
  }

  async load(id) {
    this.take(await api.conversation(id));
    this.#draw();
  }

  /** What the daemon says of it, without the messages. */
  take({ id, title, model, system, messages }) {
    Object.assign(this, { id, title, model, system });
    this.#messages = messages;
  }

  /** Before anything was said. */
  greet(state) {
    if (this.#messages.length || this.element.querySelector(".trouble")) return;
    const model = state?.models.find((each) => each.name === (this.model || state.default));
    this.element.replaceChildren(welcome(model));
  }

  ask(text) {
    return this.#ask({ text }, this.#messages.length - (this.last?.role === "user" ? 1 : 0), text);
  }

  edit(number, text) {
    return this.#ask({ text, replace: number }, number, text);
  }

  retry() {
    const number = this.#messages.length - (this.last?.role === "user" ? 1 : 2);
    return this.#ask({ retry: true }, number, this.#messages[number].content);
  }

  /** The last question, as if its button had been pressed. */
  editLast() {
    [...this.element.querySelectorAll(".question .edit")].at(-1)?.click();
  }

  /** The answer ends with what there is of it. */
  async stop() {
    const abort = this.#abort;
    if (!abort) return;
    setTimeout(() => abort.abort(), GRACE);
    await api.stop(this.id).catch(() => abort.abort());
  }

  async #ask(wish, number, text) {
    if (this.#abort) return;
    this.#abort = new AbortController();
    this.#cut(number);
    this.#show(
      question(number, text, (other) => this.edit(number, other)),
      { role: "user", content: text },
    );
    const answer = (this.#answer = new Answer());
    this.#show(answer.element);
    this.heard();
    const looking = setInterval(() => {
      if (!answer.begun) look(answer, this.model);
      if (!this.title) this.heard(); // the question is kept by now, and has given one
    }, LOOK);
    try {
      if (!this.id) {
        wish = { text };
        await this.#begin();
      }
      await this.#follow(answer, wish);
    } catch (error) {
      await this.#failed(answer, error);
      if (wish.text && this.#messages[number]?.content !== text) this.lost(text);
    } finally {
      clearInterval(looking);
      this.#abort = null;
      this.#answer.offer(this.last?.role === "assistant" && (() => this.retry()));
      this.heard();
    }
  }

  async #begin() {
    const given = { model: this.model, ...(this.system === null ? {} : { system: this.system }) };
    this.take({ ...(await api.begin(given)), messages: this.#messages });
    this.heard();
  }

  async #follow(answer, wish) {
    answer.status("Waiting");
    for await (const event of api.answer(this.id, wish, this.#abort.signal)) {
      if (event.type === "reading") answer.status(...reading(event));
      else if (event.type === "text") answer.add(event.text, event.thought);
      else if (event.type === "notice") answer.notice(event.text);
      else if (event.type === "error") throw new api.Failure(500, event.message);
      else if (event.type === "ended") return this.#ended(answer, event);
    }
    throw new api.Failure(0, "The answer broke off: accel has gone");
  }

  #ended(answer, event) {
    answer.end(event);
    if (!answer.begun && event.reason === "cancelled") this.#unanswered(answer.element);
    else this.#messages.push({ role: "assistant", content: answer.text });
  }

  /** What the daemon kept is what there is; where it cannot be asked, what was seen. */
  async #failed(answer, error) {
    try {
      await this.load(this.id);
      this.element.querySelector(".unanswered")?.remove();
      if (!this.#abort.signal.aborted) this.element.append(trouble(error.message, () => this.retry()));
    } catch {
      answer.fail(error.message, () => this.retry());
      if (answer.begun) this.#messages.push({ role: "assistant", content: answer.text });
    }
  }

  #draw() {
    this.element.replaceChildren();
    this.#views = [];
    this.#messages.forEach((message, number) => {
      if (message.role === "user") this.#show(question(number, message.content, (text) => this.edit(number, text)));
      else this.#show((this.#answer = Answer.kept(message)).element);
    });
    if (this.last?.role === "assistant") this.#answer.offer(() => this.retry());
    else if (this.last) this.#unanswered();
  }

  #unanswered(place) {
    const words = h(
      "p",
      { class: "trouble unanswered" },
      h("span", {}, "This got no answer."),
      h("button", { type: "button", onclick: () => this.retry() }, "Try again"),
    );
    if (place) place.replaceWith(words);
    else this.element.append(words);
  }

  #show(element, message) {
    this.element.append(element);
    this.#views.push(element);
    if (message) this.#messages.push(message);
  }

  /** Messages from this one on go, and what was said of them. */
  #cut(number) {
    this.element.querySelectorAll(".welcome, .trouble, .notice").forEach((each) => each.remove());
    this.#views.splice(number).forEach((each) => each.remove());
    this.#messages.length = number;
    this.#answer?.offer(null);
  }
}

/** What keeps an answer from beginning. */
async function look(answer, name) {
  const state = await api.state().catch(() => null);
  const model = state?.models.find((each) => each.name === (name || state.default));
  if (!model || answer.begun) return;
  if (model.state === "loading") answer.status(`Opening ${model.name}`, model.progress);
  else if (state.waiting) answer.status("Waiting for its turn");
}

function reading({ done, total }) {
  return done < total ? [`Reading ${done} of ${total} tokens`, done / total] : ["Thinking of an answer"];
}
