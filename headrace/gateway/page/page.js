// The playground: one conversation over /v1/chat/completions, and what the gateway says of itself.

const at = (id) => document.getElementById(id);
const conversation = [];
let running = null;

at("key").value = sessionStorage.getItem("key") ?? "";
at("key").addEventListener("change", () => sessionStorage.setItem("key", at("key").value));

function headers(more = {}) {
  const key = at("key").value.trim();
  return key ? { ...more, authorization: `Bearer ${key}` } : more;
}

function line(kind, text = "") {
  const item = document.createElement("li");
  item.className = kind;
  item.textContent = text;
  at("messages").append(item);
  item.scrollIntoView({ block: "end" });
  return item;
}

function figure(id, text, mood = "") {
  at(id).textContent = text;
  at(id).className = mood;
}

const milliseconds = (value) => `${Math.round(value)} ms`;

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (pending + value).split("\n\n");
    pending = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

async function ask() {
  const began = performance.now();
  running = new AbortController();
  const answer = await fetch("v1/chat/completions", {
    method: "POST",
    signal: running.signal,
    headers: headers({
      "content-type": "application/json",
      ...(at("cache").checked ? {} : { "cache-control": "no-store" }),
    }),
    body: JSON.stringify({
      model: "assistant",
      messages: conversation,
      max_tokens: Number(at("tokens").value),
      temperature: Number(at("temperature").value),
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  figure("state", answer.headers.get("x-headrace-cache") ?? "–");
  return { answer, began };
}

async function show({ answer, began }, item) {
  let first = null;
  let text = "";
  for await (const event of events(answer.body)) {
    if (event.error) throw new Error(event.error.message);
    const choice = event.choices[0];
    const piece = choice?.delta?.content ?? "";
    if (piece && first === null) {
      first = performance.now();
      figure("first", milliseconds(first - began));
    }
    text += piece;
    item.textContent = text;
    item.scrollIntoView({ block: "end" });
    if (choice?.finish_reason === "content_filter") item.classList.add("blocked");
    if (event.headrace?.guard) tellGuard(event.headrace.guard);
    if (event.usage) tellUsage(event.usage, began, first);
  }
  figure("whole", milliseconds(performance.now() - began));
  return text;
}

function tellGuard(verdict) {
  const scores = Object.entries({ ...verdict.prompt.scores, ...verdict.response.scores });
  const found = scores.map(([name, score]) => `${name} ${score}`).join(", ");
  figure("guard", found ? `${verdict.action}: ${found}` : verdict.action, verdict.action === "block" ? "bad" : "good");
}

function tellUsage(usage, began, first) {
  figure("used", `${usage.prompt_tokens} + ${usage.completion_tokens}`);
  figure("cost", `${usage.cost} ${usage.currency}`);
  const seconds = (performance.now() - (first ?? began)) / 1000;
  figure("speed", usage.completion_tokens > 1 ? Math.round((usage.completion_tokens - 1) / seconds) : "–");
}

async function send() {
  const text = at("text").value.trim();
  if (!text || running) return;
  at("text").value = "";
  line("user", text);
  conversation.push({ role: "user", content: text });
  const item = line("assistant running");
  at("stop").hidden = false;
  try {
    conversation.push({ role: "assistant", content: await show(await ask(), item) });
  } catch (error) {
    conversation.pop();
    if (error.name !== "AbortError") line("error", error.message);
    if (!item.textContent) item.remove();
  } finally {
    item.classList.remove("running");
    at("stop").hidden = true;
    running = null;
    at("text").focus();
  }
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
});
at("stop").addEventListener("click", () => running?.abort());
at("clear").addEventListener("click", () => { conversation.length = 0; at("messages").replaceChildren(); });

async function look() {
  try {
    const answer = await fetch("status", { headers: headers() });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    const status = await answer.json();
    at("ready").textContent = status.ready ? "ready" : "not ready";
    at("ready").className = `badge ${status.ready ? "good" : "bad"}`;
    at("status").replaceChildren(...Object.entries(status.shown).flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const said = document.createElement("dd");
      term.textContent = name;
      said.textContent = value;
      return [term, said];
    }));
  } catch (error) {
    at("ready").textContent = "no answer";
    at("ready").className = "badge bad";
  }
}

look();
setInterval(look, 2000);
