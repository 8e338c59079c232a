// One answer as it comes: its text, and what it took. Times are in milliseconds.

import { milliseconds } from "./dom.js";
import { inWords } from "./guard.js";

export class Answer {
  text = "";
  finish = null;
  guard = null;
  usage = null;
  cache = null;
  requestId = null;
  #began = performance.now();
  #first = null;
  #ended = null;

  opened(headers) {
    this.cache = headers.get("x-headrace-cache");
    this.requestId = headers.get("x-request-id");
  }

  take(event) {
    const choice = event.choices[0];
    const piece = choice?.delta?.content ?? "";
    if (piece) this.#first ??= performance.now();
    this.text += piece;
    this.finish = choice?.finish_reason ?? this.finish;
    this.guard = event.headrace?.guard ?? this.guard;
    this.usage = event.usage ?? this.usage;
  }

  end(finish = this.finish) {
    this.finish = finish;
    this.#ended = performance.now();
  }

  get blocked() { return this.finish === "content_filter"; }
  get firstToken() { return this.#first && this.#first - this.#began; }
  get total() { return this.#ended && this.#ended - this.#began; }

  // Tokens a second over the whole time: a stream's pieces hold several, and the guards may hold some back.
  get speed() {
    const tokens = this.cache === "hit" ? 0 : (this.usage?.completion_tokens ?? 0);
    return this.#ended && tokens ? (1000 * tokens) / this.total : null;
  }
}

const CACHE = {
  hit: "hit: from the cache",
  miss: "miss: made now",
  join: "join: made once for several",
  bypass: "bypass: made, not kept",
};
const FINISHES = {
  stop: "the model ended it",
  length: "max tokens reached",
  content_filter: "blocked by the guards",
  stopped: "stopped by you",
};

const cost = ({ cost, currency }) => `${cost} ${currency}`;
const speed = (answer) => answer.speed && answer.speed.toFixed(answer.speed < 10 ? 1 : 0);

// Rows for the side of the page: of what is known by now.
export function figures(answer) {
  const { usage, guard, requestId } = answer;
  const verdict = guard && inWords(guard);
  const rows = [
    ["First token", answer.firstToken && milliseconds(answer.firstToken)],
    ["Total", answer.total && milliseconds(answer.total)],
    ["Tokens", usage && `${usage.prompt_tokens} in, ${usage.completion_tokens} out`],
    ["Tokens / s", speed(answer)],
    ["Cost", usage && cost(usage)],
    ["Cache", CACHE[answer.cache], answer.cache === "hit" ? "good" : ""],
    ["Ended", FINISHES[answer.finish], answer.blocked ? "bad" : ""],
    ["Guard", verdict?.lines.join("\n"), verdict?.mood],
    ["Policy", guard && `${guard.policy} (${guard.version.slice(0, 8)})`],
    ["Request", requestId],
  ];
  return rows.filter(([, text]) => text);
}

// One line for below the answer.
export function summary(answer) {
  const { usage, finish, cache } = answer;
  const parts = [
    finish === "stopped" && "stopped",
    usage && `${usage.completion_tokens} tokens`,
    answer.firstToken && `first after ${milliseconds(answer.firstToken)}`,
    answer.speed && `${speed(answer)} tokens/s`,
    `${milliseconds(answer.total)} in all`,
    usage && cost(usage),
    cache && `cache ${cache}`,
  ];
  return parts.filter(Boolean).join(" · ");
}
