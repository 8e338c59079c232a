// The guards' verdict, in words.

const SIDES = [["prompt", "prompt"], ["response", "answer"]];
const MOODS = { allow: "good", flag: "warn", redact: "warn", block: "bad" };

const plain = (name) => name.replaceAll("_", " ");
const scored = ([name, score]) => `${plain(name)} (${score.toFixed(2)})`;
const counted = ([name, count]) => `${count} × ${plain(name)}`;

export function inWords(verdict) {
  const lines = SIDES.flatMap(([side, name]) => sentences(verdict[side], name));
  return { mood: MOODS[verdict.action] ?? "", lines: lines.length ? lines : ["Nothing found"] };
}

function sentences({ action, scores, redactions = {}, errors = [] }, name) {
  const found = Object.entries(scores);
  const lines = [];
  if (action === "block") {
    lines.push(`The ${name} was blocked. Found: ${found.map(scored).join(", ") || "nothing, but it could not be judged"}`);
  } else {
    const noted = found.filter(([category]) => !(category in redactions));
    if (Object.keys(redactions).length) {
      lines.push(`Removed from the ${name}: ${Object.entries(redactions).map(counted).join(", ")}`);
    }
    if (noted.length) lines.push(`Noted in the ${name}: ${noted.map(scored).join(", ")}`);
  }
  if (errors.length) lines.push(`Did not judge the ${name}: ${errors.map(plain).join(", ")}`);
  return lines;
}
