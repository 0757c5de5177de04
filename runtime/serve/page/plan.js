// The plan of a model that is open: a bar for each tier of memory, and every choice with its reason.

import * as api from "./api.js";
import { $, h, sized } from "./dom.js";
import { figure, level } from "./figures.js";
import { bytes, rate, share } from "./format.js";

export const title = "Plan";
export const element = $("plan");
const ORDER = ["weights", "experts", "KV cache", "draft", "prompts", "buffers"];
let wanted = "";

export async function show(model) {
  wanted = model;
  try {
    const found = await api.plan(model);
    if (wanted === model) draw(found);
  } catch (error) {
    element.replaceChildren(h("p", { class: "empty" }, error.message));
  }
}

export function leave() {
  wanted = "";
}

function draw({ model, machine, tiers, groups, choices, decode, prefill, cautions }) {
  const experts = model.experts ? `, ${model.experts} experts of which ${model.experts_used} are used` : "";
  element.replaceChildren(
    h(
      "header",
      {},
      h("h2", {}, model.name),
      h(
        "p",
        { class: "faint" },
        `${model.architecture}, ${model.layers} layers${experts}, ${bytes(model.size)} ${model.format}, on ${machine}`,
      ),
    ),
    h("div", { class: "figures" }, estimate("decode", decode), estimate("prefill", prefill)),
    ...cautions.map((words) => h("p", { class: "notice" }, words)),
    ...tiers.map((tier) => drawTier(tier, groups)),
    h("section", {}, h("h3", {}, "Choices"), drawChoices(choices)),
  );
}

function estimate(name, { low, likely, high, rests_on }) {
  return figure(name, rate(likely), "tokens/s", `${rate(low)} to ${rate(high)}, by ${rests_on}`);
}

/** How full it is, and what fills it. */
function drawTier(tier, reasons) {
  const groups = ORDER.map((group) => ({ group, parts: tier.parts.filter((part) => part.group === group) }))
    .map(({ group, parts }) => ({ group, parts, size: parts.reduce((sum, part) => sum + part.size, 0) }))
    .filter(({ size }) => size);
  const told = h("div", { class: "told", role: "status" });
  const tell = (group) => told.replaceChildren(...explained(group, reasons));
  const bar = groups.map((group) => {
    const words = `${group.group}: ${bytes(group.size)}, ${share(group.size, tier.size)}`;
    const show = () => tell(group);
    const button = h("button", {
      type: "button",
      class: `segment ${slug(group.group)}`,
      "aria-label": words,
      onfocus: show,
      onmouseenter: show,
      onclick: show,
    });
    return sized(button, { "flex-grow": `${group.size / tier.size}` });
  });
  const legend = [...groups, { group: "free", size: Math.max(0, tier.free - tier.size) }].map(({ group, size }) =>
    h(
      "li",
      {},
      h("span", { class: `swatch ${slug(group)}`, "aria-hidden": "true" }),
      h("span", {}, group),
      h("span", { class: "size" }, bytes(size)),
    ),
  );
  tell(groups[0]);
  return h(
    "section",
    { class: "tier" },
    level(tier.name, tier.size, tier.free, `${bytes(tier.size)} of ${bytes(tier.free)} that may be used`),
    h("div", { class: "segments", role: "group", "aria-label": `What ${tier.name} holds` }, bar),
    h("ul", { class: "legend" }, legend),
    told,
  );
}

/** What a group is made of, and why it is as large. */
function explained({ group, parts, size }, reasons) {
  const rows = parts.map(({ what, size, kind }) =>
    h("tr", {}, h("td", {}, what), h("td", { class: "right" }, bytes(size)), h("td", { class: "faint" }, kind)),
  );
  return [
    h("p", {}, h("strong", {}, group), ` ${bytes(size)}`),
    h("table", {}, h("tbody", {}, rows)),
    ...reasons[group].map((words) => h("p", { class: "why" }, words)),
  ];
}

function drawChoices(choices) {
  return h(
    "dl",
    { class: "choices" },
    choices.map(({ name, value, reason }) =>
      h("div", {}, h("dt", {}, name), h("dd", { class: "value" }, value), h("dd", { class: "faint" }, reason)),
    ),
  );
}

const slug = (group) => group.replace(" ", "-").toLowerCase();
