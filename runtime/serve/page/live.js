// A model at work, asked for once a second as long as somebody looks.

import * as api from "./api.js";
import * as cached from "./cached.js";
import { $, h, sized, svg } from "./dom.js";
import { figure, level } from "./figures.js";
import { bytes, rate, share } from "./format.js";

export const title = "Live";
export const element = $("live");
const EVERY = 1000; // milliseconds
const KEPT = 60; // figures in the picture
let model = "";
let timer = 0;
let last = null;
let rates = [];

export async function show(name) {
  leave();
  model = name;
  document.addEventListener("visibilitychange", look);
  await look();
}

export function leave() {
  clearTimeout(timer);
  document.removeEventListener("visibilitychange", look);
  cached.leave();
  [model, last, rates] = ["", null, []];
}

/** Asks, and once more in a second, unless the page is out of sight. */
async function look() {
  clearTimeout(timer);
  const name = model;
  if (!name || document.hidden) return;
  const found = await api.live(name).catch((error) => error);
  if (name !== model) return; // another is shown meanwhile
  if (found instanceof Error) {
    last = null;
    element.replaceChildren(h("p", { class: "empty" }, found.message));
  } else {
    draw(found);
    last = found;
  }
  timer = setTimeout(look, EVERY);
}

function draw(now) {
  const seconds = last ? now.time - last.time : 0;
  const since = (name) => (last ? Math.max(0, now[name] - last[name]) : 0);
  if (seconds > 0) rates = [...rates, since("generated") / seconds].slice(-KEPT);
  const many = (name) => now[name].toLocaleString("en");
  const above = [
    h(
      "div",
      { class: "figures" },
      figure("decoding", rate(rates.at(-1) ?? 0), "tokens/s", `${many("generated")} since it was opened`),
      figure("requests", many("running"), "running", `${many("waiting")} waiting`),
      figure("drafts that stood", share(now.stood, now.drafted), "", `${many("stood")} of ${many("drafted")} tokens`),
    ),
    sparkline(),
    h("section", {}, level("Memory", now.held, now.planned, `${bytes(now.held)} of ${bytes(now.planned)} planned`)),
    h(
      "section",
      {},
      level("Context", now.positions, now.context, `${many("positions")} of ${many("context")} tokens cached`),
    ),
  ];
  cached.draw(model, now);
  around(cached.element, above, [...drawExperts(now.experts), ...drawDrafting(now)]);
}

/** All that is shown, anew but for one: what is taken out and put in again loses the focus. */
function around(kept, above, below) {
  if (kept.parentNode !== element) element.replaceChildren(kept);
  for (const child of [...element.children]) if (child !== kept) child.remove();
  kept.before(...above);
  kept.after(...below);
}

function sparkline() {
  const most = Math.max(1, ...rates);
  const points = rates.map((value, number) => `${KEPT - rates.length + number},${20 - (18 * value) / most}`).join(" ");
  return svg(
    "svg",
    {
      class: "sparkline",
      viewBox: `0 0 ${KEPT - 1} 21`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": "Tokens per second in the last minute",
    },
    svg("polyline", { points, "vector-effect": "non-scaling-stroke" }),
  );
}

function drawExperts(layers) {
  const used = layers.filter((layer) => layer.uses);
  if (!used.length) return [];
  const [uses, hits] = ["uses", "hits"].map((name) => used.reduce((sum, layer) => sum + layer[name], 0));
  const bars = used.map((layer) => {
    const words = `Layer ${layer.layer}: ${share(layer.hits, layer.uses)} in memory when wanted`;
    return h(
      "span",
      { class: "column", title: words },
      sized(h("span", {}), { height: `${(100 * layer.hits) / layer.uses}%` }),
    );
  });
  return [
    h(
      "section",
      {},
      h("h3", {}, "Experts", h("span", { class: "faint" }, ` ${share(hits, uses)} in memory when wanted, by layer`)),
      h(
        "div",
        {
          class: "columns",
          role: "img",
          "aria-label": used.map((layer) => `layer ${layer.layer} ${share(layer.hits, layer.uses)}`).join(", "),
        },
        bars,
      ),
      h(
        "p",
        { class: "faint axis" },
        h("span", {}, `layer ${used[0].layer}`),
        h("span", {}, `layer ${used.at(-1).layer}`),
      ),
    ),
  ];
}

function drawDrafting({ drafting, drafters }) {
  if (!drafting && !drafters.length) return [];
  const rows = drafters.map((each) =>
    h(
      "tr",
      {},
      h("td", {}, each.name),
      h("td", { class: "right" }, share(each.stood, each.drafted)),
      h("td", { class: "faint" }, each.trouble || `${each.stood} of ${each.drafted} stood, asked ${each.asked} times`),
    ),
  );
  return [
    h(
      "section",
      {},
      h("h3", {}, "Drafting"),
      h("p", { class: "faint" }, drafting),
      rows.length > 0 && h("table", {}, h("tbody", {}, rows)),
    ),
  ];
}
