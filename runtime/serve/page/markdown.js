// Markdown to elements: a small part of it, of hostile text. Nothing is ever parsed as HTML, links lead to http(s)
// alone, and the time is linear in the length: what nests deeper than DEEPEST is shown as it was written.

import { h } from "./dom.js";
import { inline } from "./inline.js";
import { codeBlock } from "./code.js";

const DEEPEST = 8;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?: |$)/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: {1,4}|$)/;
const CELL = /^:?-+:?$/;
const DIRECTIONS = /[\u202a-\u202e\u2066-\u2069]/g; // they can show text in another order

export function render(text) {
  const parent = document.createDocumentFragment();
  blocks(text.replace(DIRECTIONS, "").replaceAll("\t", "    ").split(/\r?\n/), parent, 0);
  return parent;
}

/** Markdown that is still arriving: what is finished is rendered once, the rest with every `show`. */
export class Growing {
  #place;
  #end = 0; // of what is finished, in the text
  #kept = 0; // nodes of it

  constructor(place) {
    this.#place = place;
  }

  /** `text` is all of it until now. */
  show(text) {
    while (this.#place.childNodes.length > this.#kept) this.#place.lastChild.remove();
    const end = this.#end + settled(text.slice(this.#end));
    if (end > this.#end) {
      this.#place.append(render(text.slice(this.#end, end)));
      this.#end = end;
      this.#kept = this.#place.childNodes.length;
    }
    this.#place.append(render(text.slice(end)));
  }

  /** What belongs together and was parted by a blank line, as lists are, is put together. */
  finish(text) {
    this.#place.replaceChildren(render(text));
  }
}

/** Where the last blank line outside fences ends: what stands before it renders the same whatever follows. */
export function settled(text) {
  let end = 0,
    at = 0,
    fence = "";
  for (const line of text.split("\n").slice(0, -1)) {
    at += line.length + 1;
    if (fence) fence = closes(line, fence) ? "" : fence;
    else fence = opens(line);
    if (!fence && !line.trim()) end = at;
  }
  return end;
}

function blocks(lines, parent, depth) {
  const kinds = depth < DEEPEST ? [fenced, heading, rule, quote, list, table, paragraph] : [paragraph];
  for (let at = 0; at < lines.length;) {
    if (lines[at].trim()) at = kinds.reduce((next, kind) => next || kind(lines, at, parent, depth), 0);
    else at += 1;
  }
}

// Each of these gives the line after what it read, or 0 where the line is none of its.

function fenced(lines, at, parent) {
  const fence = opens(lines[at]);
  if (!fence) return 0;
  const indent = lines[at].search(/\S/);
  let end = at + 1;
  while (end < lines.length && !closes(lines[end], fence)) end += 1;
  const code = lines.slice(at + 1, end).map((line) => dedented(line, indent));
  const [language] = lines[at]
    .slice(indent + fence.length)
    .trim()
    .split(/\s/, 1);
  parent.append(codeBlock(code.join("\n"), language));
  return end + 1;
}

/** The fence that a line opens, or "". */
function opens(line) {
  const fence = FENCE.exec(line)?.[1] ?? "";
  return fence[0] === "`" && line.trim().slice(fence.length).includes("`") ? "" : fence;
}

function closes(line, fence) {
  const words = line.trim();
  return words.length >= fence.length && words === fence[0].repeat(words.length);
}

function heading(lines, at, parent) {
  const found = HEADING.exec(lines[at]);
  if (!found) return 0;
  const level = Math.min(found[1].length + 2, 6); // the page's own headings come first
  inline(lines[at].slice(found[0].length).trim(), parent.appendChild(h(`h${level}`)));
  return at + 1;
}

function rule(lines, at, parent) {
  if (!RULE.test(lines[at])) return 0;
  parent.append(h("hr"));
  return at + 1;
}

function quote(lines, at, parent, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  if (end === at) return 0;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  blocks(inner, parent.appendChild(h("blockquote")), depth + 1);
  return end;
}

function list(lines, at, parent, depth) {
  const first = ITEM.exec(lines[at]);
  if (!first) return 0;
  const ordered = /\d/.test(first[2]);
  const made = parent.appendChild(h(ordered ? "ol" : "ul", ordered ? { start: parseInt(first[2], 10) } : {}));
  const indent = first[1].length;
  let next = at,
    loose = false,
    gap = false;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next]);
    if (!item || item[1].length > indent + 3 || /\d/.test(item[2]) !== ordered || RULE.test(lines[next])) break;
    const end = endOfItem(lines, next + 1, item[0].length, indent);
    const width = item[0].length;
    const inner = [lines[next].slice(width), ...lines.slice(next + 1, end).map((line) => dedented(line, width))];
    const spaced = inner.length > 1 && !inner.at(-1).trim();
    while (inner.length > 1 && !inner.at(-1).trim()) inner.pop();
    loose ||= gap || inner.some((line, number) => number && !line.trim());
    gap = spaced;
    blocks(inner, made.appendChild(h("li")), depth + 1);
    next = skipBlank(lines, end);
  }
  if (!loose) [...made.children].forEach(unwrap);
  return next;
}

/** The first line that is not the item's: of a sibling, or not as deep after a blank one. */
function endOfItem(lines, at, width, indent) {
  let blank = false;
  for (let next = at; next < lines.length; next += 1) {
    const line = lines[next];
    if (!line.trim()) {
      blank = true;
      continue;
    }
    const depth = line.search(/\S/);
    const item = ITEM.exec(line);
    if (depth < Math.min(width, indent + 2) && (item || blank || starts(lines, next))) return next;
    blank = false;
  }
  return lines.length;
}

const dedented = (line, width) => line.slice(Math.min(width, line.search(/\S|$/)));

function skipBlank(lines, at) {
  while (at < lines.length && !lines[at].trim()) at += 1;
  return at;
}

function unwrap(item) {
  if (item.firstChild?.nodeName === "P") item.firstChild.replaceWith(...item.firstChild.childNodes);
}

function table(lines, at, parent) {
  if (!isTable(lines, at)) return 0;
  const aligned = cells(lines[at + 1]).map((cell) =>
    cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : null,
  );
  const row = (line, name) =>
    h(
      "tr",
      {},
      cells(line)
        .slice(0, aligned.length)
        .map((text, column) => inline(text, h(name, { class: aligned[column] }))),
    );
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const body = lines.slice(at + 2, end).map((line) => row(line, "td"));
  const made = h("table", {}, h("thead", {}, row(lines[at], "th")), h("tbody", {}, body));
  parent.append(h("div", { class: "wide-table", tabindex: "0", role: "group", "aria-label": "Table" }, made));
  return end;
}

function isTable(lines, at) {
  if (!lines[at].includes("|") || at + 1 >= lines.length || !lines[at + 1].includes("-")) return false;
  const below = cells(lines[at + 1]);
  return below.length === cells(lines[at]).length && below.every((cell) => CELL.test(cell));
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function paragraph(lines, at, parent) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !starts(lines, end)) end += 1;
  const text = lines
    .slice(at, end)
    .map((line) => line.trim())
    .join("\n");
  inline(text, parent.appendChild(h("p", { dir: "auto" })));
  return end;
}

/** Whether something else than more of a paragraph begins there. */
function starts(lines, at) {
  const line = lines[at];
  return Boolean(opens(line)) || [HEADING, RULE, QUOTE, ITEM].some((kind) => kind.test(line)) || isTable(lines, at);
}
