// The page's controls, and what they do.

import { clear, send, stop } from "./chat.js";
import { at } from "./dom.js";
import { key } from "./gateway.js";
import { forgetLimits } from "./limits.js";
import { look } from "./status.js";

function settings() {
  const policy = at("policy").value;
  return {
    system: at("system").value.trim(),
    useCache: at("cache").checked,
    max_tokens: at("max-tokens").valueAsNumber,
    temperature: at("temperature").valueAsNumber,
    ...(policy ? { guard_policy: policy } : {}),
  };
}

at("question").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (!text || at("send").hidden) return; // one at a time
  at("text").value = "";
  send(text, settings());
});

at("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("question").requestSubmit();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
});

at("stop").addEventListener("click", stop);
at("clear").addEventListener("click", clear);

at("key").value = key.get();
at("key").addEventListener("input", () => key.set(at("key").value.trim()));
at("key").addEventListener("change", () => {
  forgetLimits();
  look();
});
at("identity").addEventListener("submit", (event) => event.preventDefault());

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});

look();
