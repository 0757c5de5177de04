// What stands within a line: code, bold, italics, links. Nothing else is more than text.

import { h } from "./dom.js";

const DEEPEST = 8;
const LONGEST = 2000; // characters of an address
const SPECIAL = /\\[!-/:-@[-`{-~]|`+|\*\*|__|\*|_|\[|https?:\/\/[^\s<>"'`]+|\n/g;
const WORD = /[\p{L}\p{N}]/u;
const SPACE = /\s/;
const TAIL = /[.,;:!?)\]*_]+$/; // of an address, what belongs to the sentence around it

/** Fills an element with a text, and gives it back. */
export function inline(text, parent, depth = 0) {
  if (depth >= DEEPEST) {
    parent.append(text);
    return parent;
  }
  const special = new RegExp(SPECIAL);
  const context = { text, depth, hopeless: new Set() };
  let shown = 0;
  for (let found; (found = special.exec(text));) {
    const made = read(context, found[0], found.index);
    if (!made) continue;
    if (found.index > shown) parent.append(text.slice(shown, found.index));
    parent.append(made.node);
    shown = special.lastIndex = made.end;
  }
  if (shown < text.length) parent.append(text.slice(shown));
  return parent;
}

/** What begins there with these letters, and where it ends; null where they are only letters. */
function read(context, letters, at) {
  if (letters === "\n") return { node: h("br"), end: at + 1 };
  if (letters[0] === "\\") return { node: document.createTextNode(letters[1]), end: at + 2 };
  if (letters[0] === "`") return code(context, letters, at);
  if (letters === "[") return link(context, at);
  if (letters[0] === "h") return address(letters, at);
  return emphasis(context, letters, at);
}

function code({ text, hopeless }, ticks, at) {
  if (hopeless.has(ticks)) return null;
  const start = at + ticks.length;
  for (let end = text.indexOf(ticks, start); end >= 0; end = text.indexOf(ticks, end)) {
    let after = end;
    while (text[after] === "`") after += 1;
    if (after - end === ticks.length) {
      const inner = text.slice(start, end).replaceAll("\n", " ");
      const padded = inner.startsWith(" ") && inner.endsWith(" ") && inner.trim();
      return { node: h("code", {}, padded ? inner.slice(1, -1) : inner), end: after };
    }
    end = after;
  }
  hopeless.add(ticks); // no later one of this length is closed either
  return null;
}

function emphasis(context, mark, at) {
  const { text, depth, hopeless } = context;
  const start = at + mark.length;
  const opens = start < text.length && !SPACE.test(text[start]) && !(mark[0] === "_" && at && WORD.test(text[at - 1]));
  if (!opens || hopeless.has(mark)) return null;
  for (let end = text.indexOf(mark, start + 1); end >= 0; end = text.indexOf(mark, end + 1)) {
    if (mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark)) {
      continue; // half of a double one
    }
    while (mark.length === 2 && text[end + 2] === mark[0]) end += 1; // of three the last two
    const after = end + mark.length;
    if (SPACE.test(text[end - 1]) || (mark[0] === "_" && after < text.length && WORD.test(text[after]))) continue;
    const node = inline(text.slice(start, end), h(mark.length === 2 ? "strong" : "em"), depth + 1);
    return { node, end: after };
  }
  hopeless.add(mark);
  return null;
}

function link(context, at) {
  const { text, depth, hopeless } = context;
  if (hopeless.has("](")) return null;
  const close = context.close > at ? context.close : (context.close = text.indexOf("](", at));
  if (close < 0) hopeless.add("](");
  if (close < 0 || text.lastIndexOf("[", close) !== at) return null;
  const end = text.slice(0, close + LONGEST).indexOf(")", close);
  const target = end < 0 ? null : safe(text.slice(close + 2, end).trim());
  if (!target) return null;
  return { node: inline(text.slice(at + 1, close), anchor(target), depth + 1), end: end + 1 };
}

function address(letters, at) {
  if (letters.length > LONGEST) return null;
  const words = letters.replace(TAIL, "");
  const target = safe(words);
  return target && { node: filled(anchor(target), words), end: at + words.length };
}

function anchor(target) {
  return h("a", { href: target, target: "_blank", rel: "noopener noreferrer", title: target });
}

function filled(element, text) {
  element.append(text);
  return element;
}

/** An address of the web, or null: whatever could do more than be opened is none. */
function safe(words) {
  if (/\s/.test(words)) return null;
  try {
    const url = new URL(words);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
