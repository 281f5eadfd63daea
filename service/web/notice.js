/** What went wrong, shown in a view as the service words it. @module */

import { Problem } from "./client/countenance.js";
import { el } from "./dom.js";

/**
 * Show an error in `place`; errors that are none of ours go to the console as well.
 * @param {HTMLElement} place @param {unknown} error @param {(() => void) | null} retry
 */
export function showNotice(place, error, retry = null) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  const problem = error instanceof Problem ? error : asProblem(error);
  const text = el("div", { class: "text" }, el("strong", {}, problem.title));
  if (problem.detail) text.append(el("span", { class: "detail" }, sentence(problem.detail)));
  if (problem.requestId) {
    text.append(el("div", { class: "request" }, "Request ", el("code", {}, problem.requestId)));
  }
  const notice = el("div", { class: "notice", role: "alert" }, text);
  if (retry) {
    const again = el("button", { type: "button", onclick: () => retry() }, "Try again");
    notice.append(again);
  }
  place.replaceChildren(notice);
}

/** Take away what is shown. @param {HTMLElement} place */
export function clearNotice(place) {
  place.replaceChildren();
}

/** A detail as a sentence of its own. @param {string} detail */
export function sentence(detail) {
  return detail.slice(0, 1).toUpperCase() + detail.slice(1);
}

function asProblem(error) {
  console.error(error);
  return new Problem({ title: "The page failed", detail: String(error) });
}
