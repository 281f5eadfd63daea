/** What an estimate leans on: past states by their weights, and the gate between face and voice. */

import { el, percent } from "./dom.js";

/** Bars of the attention over past states, oldest first. @param {HTMLElement} place */
export function showAttention(place, frame) {
  const weights = frame?.attention ?? [];
  if (!weights.length) {
    place.replaceChildren(el("p", { class: "none" }, "No past states yet."));
    return;
  }
  const most = Math.max(...weights, 1e-6);
  const bars = weights.map((weight, index) => stateBar(weight, most, frame.attention_ages_s?.[index]));
  place.replaceChildren(...bars);
}

function stateBar(weight, most, ageS) {
  const fill = el("i");
  fill.style.height = `${(weight / most) * 100}%`;
  const age = ageS === undefined ? "" : `−${Math.abs(ageS).toFixed(2)}`;
  return el(
    "div",
    { "class": "state-bar", "role": "img", "aria-label": `State at ${age} s: ${percent(weight)}` },
    el("span", {}, percent(weight)),
    el("div", { class: "column" }, fill),
    el("span", {}, age),
  );
}

/** What face and voice count, where both were used: the gate of networks that have one. */
export function showGate(place, frame) {
  const used = frame?.used ?? [];
  const gate = used.length === 2 ? frame.gate : null;
  if (gate === null) {
    place.replaceChildren(el("p", { class: "none" }, usedWords(used)));
    return;
  }
  const mark = el("i");
  mark.style.left = `${gate * 100}%`;
  const words = `Voice ${percent(1 - gate)}, face ${percent(gate)}`;
  const end = (name, share) => el("span", {}, `${name} `, el("b", {}, percent(share)));
  place.replaceChildren(
    el("div", { "class": "scale", "role": "img", "aria-label": words }, mark),
    el("div", { class: "ends" }, end("Voice", 1 - gate), end("Face", gate)),
    el("p", { class: "none" }, usedWords(used)),
  );
}

function usedWords(used) {
  if (used.length === 2) return "Face and voice were both used.";
  if (used.length === 1) return `Only the ${used[0]} was used.`;
  return "Neither face nor voice could be used.";
}
