// How the gateway is, asked for every other second while somebody looks and is let in.

import { at, element, fill, milliseconds } from "./dom.js";
import { Problem, status } from "./gateway.js";

const EVERY_MS = 2000;
const CIRCUITS = { closed: ["answers", "good"], trying: ["away, being tried", "warn"], open: ["away", "bad"] };
let timer = null;
let asked = 0;

export async function look() {
  clearTimeout(timer);
  const mine = ++asked;
  try {
    const found = await status();
    if (mine !== asked) return; // there was another key meanwhile
    show(found);
  } catch (error) {
    if (mine !== asked) return;
    fail(error);
    if (error.status === 401) return; // until there is another key
  }
  if (!document.hidden) timer = setTimeout(look, EVERY_MS);
}

function show(found) {
  badge(found.ready ? "ready" : "not ready", found.ready ? "good" : "bad");
  at("tenant").textContent = `as ${found.tenant}`;
  at("gateway").classList.remove("stale");
  fill(at("gateway"), rows(found));
  offer(found.policies);
}

function fail(error) {
  const known = error instanceof Problem;
  badge(known ? error.title.toLowerCase() : "no answer", "bad");
  at("tenant").textContent = "";
  at("gateway").classList.add("stale");
}

function badge(text, mood) {
  if (at("ready").textContent !== text) at("ready").textContent = text; // else it would be read aloud again
  at("ready").className = `badge ${mood}`;
}

function rows({ replica, model, triton, admission, cache, latency }) {
  const busy = admission.in_flight / Math.max(1, admission.limit);
  const wait = admission.waiting ? `, about ${milliseconds(1000 * admission.estimated_wait_seconds)}` : "";
  return [
    ["Replica", replica],
    ["Model", model],
    ["Triton", ...CIRCUITS[triton.circuit]],
    ["In Triton", `${admission.in_flight} of ${admission.limit}`, "", busy],
    ["Waiting", `${admission.waiting}${wait}`, admission.waiting ? "warn" : ""],
    ["Refused", `${admission.refused} since the start`],
    ["Cache", `${cache.answers} kept, ${megabytes(cache.bytes)} of ${megabytes(cache.limit_bytes)} MiB`, "",
      cache.bytes / Math.max(1, cache.limit_bytes)],
    ["Answered", `${latency.requests} in ${Math.round(latency.seconds / 60)} min`],
    ["First token", percentiles(latency.first_token_ms)],
    ["Total", percentiles(latency.total_ms)],
  ];
}

function percentiles(found) {
  return found ? `P50 ${milliseconds(found.p50)}, P95 ${milliseconds(found.p95)}` : "–";
}

const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);

// The policies that the asker may choose from.
function offer({ default: usual, names }) {
  const list = at("policy");
  if ([...list.options].slice(1).map((one) => one.value).join() === names.join()) return;
  const chosen = list.value;
  list.replaceChildren(...["", ...names].map((name) => {
    const option = element("option", name || `default (${usual})`);
    option.value = name;
    return option;
  }));
  list.value = names.includes(chosen) ? chosen : "";
}
