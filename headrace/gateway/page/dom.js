// Parts of the page. Whatever they show is text, never markup.

export const at = (id) => document.getElementById(id);

export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

// Fills a <dl>. A row is [name, text], and perhaps a mood (good, warn, bad) and a share from 0 to 1 to draw.
export function fill(list, rows) {
  list.replaceChildren(...rows.flatMap(([name, text, mood = "", share = null]) => {
    const said = element("dd", text, mood);
    if (share !== null) said.append(meter(name, share));
    return [element("dt", name), said];
  }));
}

function meter(name, share) {
  const made = document.createElement("meter");
  made.value = Math.min(1, Math.max(0, share));
  made.setAttribute("aria-label", name);
  return made;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  return value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}
