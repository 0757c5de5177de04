// What the page asks of the daemon. It shows who it is by the token it was served with, or else by a key.

const TOKEN = document.querySelector('meta[name="accel-token"]').content;
const KEY = "accel-key";
let askForKey = null;
let asking = null;

/** What the daemon, or the lack of one, said; `status` is HTTP's, 0 for none. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** `ask(wrong)` promises a key; `wrong`: whether the last one was not taken. */
export function whenKeyIsNeeded(ask) {
  askForKey = ask;
}

export const state = () => json("GET", "/api/state");
export const plan = (model) => json("GET", `/api/plan/${encodeURIComponent(model)}`);
export const live = (model) => json("GET", `/api/live/${encodeURIComponent(model)}`);
export const clear = (model) => request("DELETE", `/v1/caches?model=${encodeURIComponent(model)}`);
export const headings = async (search) =>
  (await json("GET", `/api/conversations?search=${encodeURIComponent(search)}`)).conversations;
export const begin = (given) => json("POST", "/api/conversations", given);
export const conversation = (id) => json("GET", path(id));
export const change = (id, given) => json("PATCH", path(id), given);
export const remove = (id) => request("DELETE", path(id));
export const stop = (id) => request("DELETE", `${path(id)}/answer`);

/** The events of an answer; see page_api.py. */
export async function* answer(id, wish, signal) {
  yield* events(await request("POST", `${path(id)}/answer`, wish, signal));
}

/** A file for the user, saved by the browser. */
export async function save(id, format) {
  const response = await request("GET", `${path(id)}/export?format=${format}`);
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? `chat.${format}`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const path = (id) => `/api/conversations/${encodeURIComponent(id)}`;
const json = async (...asked) => (await request(...asked)).json();

async function request(method, url, body, signal) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const response = await sent(method, url, body, signal, key);
    if (response.status === 401 && !TOKEN && askForKey) await newKey(key);
    else if (response.ok) return response;
    else throw new Failure(response.status, await words(response));
  }
}

async function sent(method, url, body, signal, key) {
  const headers = TOKEN ? { "x-accel-token": TOKEN } : key ? { authorization: `Bearer ${key}` } : {};
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    return await fetch(url, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "accel does not answer; see whether it runs");
  }
}

/** One question for all requests that were refused meanwhile. */
async function newKey(tried) {
  if (sessionStorage.getItem(KEY) !== tried) return; // another request has asked
  asking ??= askForKey(tried !== null).finally(() => (asking = null));
  sessionStorage.setItem(KEY, await asking);
}

async function words(response) {
  const said = await response.json().catch(() => ({}));
  return said.message ?? said.error?.message ?? `accel answered ${response.status}`;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) return;
    const frames = (held + value).split("\n\n");
    held = frames.pop();
    for (const frame of frames) {
      const data = frame.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}
