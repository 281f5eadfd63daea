/** The figures of a live session: its status, pace, step, and the faces in sight. @module */

import { el, percent } from "./dom.js";

const STATUS = {
  tracking: ["good", "Following"],
  redetected: ["watch", "Found again"],
  lost: ["bad", "Out of sight"],
  searching: ["watch", "Looking for a face"],
  reset: ["watch", "Started anew"],
  connecting: ["watch", "Connecting"],
  waiting: ["bad", "No connection"],
};

/** A word and a colour for how it goes; a screen reader hears it when it changes. */
export function tellStatus(place, kind, words) {
  const text = place.querySelector("span");
  place.dataset.status = kind;
  if (text.textContent !== words) text.textContent = words;
}

/** Show a status of the service or of the connection. */
export function showStatus(place, status) {
  tellStatus(place, ...(STATUS[status] ?? ["watch", status]));
}

/** One row a face. @param {HTMLElement} list @param {any[]} faces */
export function showTracks(list, faces) {
  const rows = faces.map((face) => {
    const sure = face.face_probability === null ? "" : `face ${percent(face.face_probability)}`;
    const words = [STATUS[face.status][1].toLowerCase(), face.degradation?.class].filter(Boolean);
    return el(
      "li",
      { class: "track-row" },
      el("b", {}, `Face ${face.track_id}`),
      el("span", {}, words.join(", ")),
      el("span", {}, sure),
    );
  });
  list.replaceChildren(...(rows.length ? rows : [el("li", { class: "none" }, "None in sight")]));
}

/**
 * Frames a second, latency, frames without an answer.
 * @param {Record<string, any>} parts @param {import("./pace.js").Pace} pace
 */
export function showPace({ fps, latency, unanswered }, pace) {
  const now = pace.now();
  fps.textContent = now.fps ? now.fps.toFixed(1) : "–";
  const figure = now.latencyMs === null ? ["–"] : [now.latencyMs.toFixed(0), el("small", {}, " ms")];
  latency.replaceChildren(...figure);
  unanswered.textContent = String(pace.unanswered);
}

/** Add a line to a log of the newest few. @param {HTMLOListElement} list @param {string | null} text */
export function logLine(list, text) {
  if (!text) return;
  const time = new Date().toLocaleTimeString([], { hour12: false });
  list.prepend(el("li", {}, el("time", {}, time), el("span", {}, text)));
  while (list.children.length > 6) list.lastElementChild.remove();
}
