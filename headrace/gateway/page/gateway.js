// The gateway's addresses, as this page uses them. The key stays in this tab's session storage.

const KEY = "key";
const STATUS_MS = 10_000;

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

// What went wrong, in words.
export class Problem extends Error {
  constructor(title, message, headers = new Headers(), status = null) {
    super(message);
    this.title = title;
    this.headers = headers;
    this.status = status;
  }
}

// By the type of the gateway's errors.
const TITLES = {
  authentication_error: "The key is not accepted",
  insufficient_quota: "The budget is spent",
  invalid_request_error: "The request cannot be served",
  not_found_error: "There is no such thing",
  overloaded_error: "The engine is busy",
  permission_error: "Not allowed",
  rate_limit_error: "A limit is reached",
  service_unavailable_error: "Not available now",
  timeout_error: "No answer in time",
};

function told(error, headers, status = null) {
  const seconds = headers.get("retry-after");
  const waits = seconds !== null && headers.get("x-should-retry") !== "false";
  const message = waits ? `${error.message} (Try again in ${seconds} s.)` : error.message;
  return new Problem(TITLES[error.type] ?? "The gateway failed", message, headers, status);
}

async function call(address, { headers = {}, ...options }) {
  const secret = key.get();
  if (/[^\x21-\x7e]/.test(secret)) throw new Problem(TITLES.authentication_error, "It has characters that no key has.");
  const shown = secret ? { ...headers, authorization: `Bearer ${secret}` } : headers;
  let answer;
  try {
    answer = await fetch(address, { ...options, headers: shown, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("No connection", "The gateway does not answer. Is it running?");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw told(body.error ?? { message: `It answered with status ${answer.status}.` }, answer.headers, answer.status);
}

export async function status() {
  return (await call("status", { cache: "no-store", signal: AbortSignal.timeout(STATUS_MS) })).json();
}

// The headers of an answer, and its events as they come.
export async function ask(question, useCache, signal) {
  const answer = await call("v1/chat/completions", {
    method: "POST",
    signal,
    headers: { "content-type": "application/json", ...(useCache ? {} : { "cache-control": "no-store" }) },
    body: JSON.stringify({ model: "assistant", stream: true, stream_options: { include_usage: true }, ...question }),
  });
  return { headers: answer.headers, events: events(answer) };
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (pending + value).split("\n\n");
      pending = parts.pop();
      for (const part of parts) {
        if (part.startsWith(":")) continue; // a comment, that the stream still is
        const data = part.replace(/^data: /, "");
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw told(event.error, answer.headers);
        yield event;
      }
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // that is what a lost connection is
  } finally {
    reader.cancel().catch(() => {});
  }
  throw new Problem("Broken off", "The connection ended before the answer did.", answer.headers);
}
