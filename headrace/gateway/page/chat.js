// The conversation: what was said, on the page and to the model.

import { Answer, figures, summary } from "./answer.js";
import { at, element, fill } from "./dom.js";
import { ask, Problem } from "./gateway.js";
import { inWords } from "./guard.js";
import { showLimits } from "./limits.js";
import { look } from "./status.js";

const said = []; // as the model is told; what was blocked or failed is not told again
let running = null;
const list = at("messages");

export async function send(text, settings) {
  if (running) return;
  running = new AbortController();
  working(true);
  add("user", "You", text);
  const answer = new Answer();
  const shown = add("assistant", "Assistant", "");
  shown.text.classList.add("running");
  fill(at("answer"), figures(answer));
  const question = { role: "user", content: text };
  try {
    await receive(answer, shown, [...said, question], settings);
    announce(answer.blocked ? `Blocked. ${answer.text}` : answer.text);
  } catch (error) {
    answer.end(error.name === "AbortError" ? "stopped" : "failed");
    if (answer.finish === "failed") tell(error, answer, text);
    else announce("Stopped.");
  } finally {
    conclude(answer, shown);
    if (answer.text && !answer.blocked && answer.finish !== "failed" && shown.item.isConnected) {
      said.push(question, { role: "assistant", content: answer.text });
    }
    running = null;
    working(false);
    look();
  }
}

export const stop = () => running?.abort();

export function clear() {
  stop();
  said.length = 0;
  list.replaceChildren();
  fill(at("answer"), []);
}

async function receive(answer, shown, messages, { system, useCache, ...wishes }) {
  const told = system ? [{ role: "system", content: system }, ...messages] : messages;
  announce("Asked.");
  const { headers, events } = await ask({ messages: told, ...wishes }, useCache, running.signal);
  answer.opened(headers);
  showLimits(headers);
  look();
  for await (const event of events) {
    answer.take(event);
    keepEnd(() => { shown.text.textContent = answer.text; });
    fill(at("answer"), figures(answer));
  }
  answer.end();
}

// Once it has ended, however it did.
function conclude(answer, { item, text }) {
  text.classList.remove("running");
  fill(at("answer"), figures(answer));
  keepEnd(() => {
    if (!answer.text && answer.finish !== "stopped") return item.remove();
    if (answer.blocked) item.classList.add("blocked");
    if (answer.guard && answer.guard.action !== "allow") item.append(verdict(answer.guard));
    if (answer.finish !== "failed") item.append(element("footer", summary(answer)));
  });
}

function verdict(guard) {
  const { mood, lines } = inWords(guard);
  const made = element("ul", "", mood);
  made.append(...lines.map((line) => element("li", line)));
  return made;
}

function tell(error, answer, question) {
  const known = error instanceof Problem;
  if (!known) console.error(error);
  const title = known ? error.title : "The page failed";
  if (known) {
    answer.requestId ??= error.headers.get("x-request-id");
    showLimits(error.headers, true);
  }
  const { item, text } = add("error", title, error.message);
  text.prepend(element("strong", `${title}: `));
  if (answer.requestId) item.append(element("footer", `request ${answer.requestId}`));
  announce(`${title}: ${error.message}`);
  at("text").value ||= question; // to send it again
}

function add(kind, who, words) {
  const item = element("li", "", kind);
  const text = element("p", words);
  item.append(element("span", `${who}: `, "unseen"), text);
  list.append(item);
  list.scrollTop = list.scrollHeight;
  return { item, text };
}

// Follows the text, unless somebody reads further up.
function keepEnd(change) {
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  change();
  if (follows) list.scrollTop = list.scrollHeight;
}

function working(now) {
  const held = [at("send"), at("stop")].includes(document.activeElement);
  at("send").hidden = now;
  at("stop").hidden = !now;
  if (held) at("text").focus(); // the one that had it is gone
}

// For who does not see the page: whole sentences, not every token.
function announce(words) {
  at("announcement").textContent = words;
}
