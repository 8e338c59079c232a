// How the asker stands to its limits, as the headers of its last answer told.

import { at, fill } from "./dom.js";

const KINDS = [["requests", "Requests"], ["tokens", "Tokens"]];

// Every answer tells all that there are; of refusals, only those by a limit do.
export function showLimits(headers, refused = false) {
  const rows = KINDS.map(([kind, name]) => row(headers, kind, name)).filter(Boolean);
  if (rows.length || !refused) fill(at("limits"), rows.length ? rows : [["Requests, tokens", "without limit"]]);
}

export function forgetLimits() {
  fill(at("limits"), []);
}

function row(headers, kind, name) {
  const told = (what) => headers.get(`x-ratelimit-${what}-${kind}`);
  if (told("limit") === null) return null;
  const [limit, left] = [Number(told("limit")), Number(told("remaining"))];
  const text = `${left} of ${limit}, full in ${told("reset")}`;
  return [name, text, left ? "" : "bad", limit ? left / limit : 0];
}
