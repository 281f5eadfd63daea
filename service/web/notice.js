/** What went wrong, and what a person can do about it. @module */

import { Problem } from "./client/countenance.js";
import { el } from "./dom.js";

// What a person can do, by the stable name of the problem; its detail is for programs then.
const ADVICE = {
  "not-an-image": "This file is not a picture. Choose a photo, such as a JPEG or PNG.",
  "unsupported-media-type": "This kind of file is not read here. Choose a photo or a clip.",
  "invalid-image": "The picture is damaged. Open and save it anew in another program, and try that file.",
  "truncated-image": "The picture is not complete; the download or the copying may have been cut off.",
  "too-many-pixels": "The picture is too large. Save a smaller copy of it.",
  "body-too-large": "The file is too large. Save a smaller or shorter copy of it.",
  "empty-body": "The file is empty.",
  "not-a-clip": "This file is neither a video nor sound. Choose an MP4, MOV, WebM, MKV or AVI.",
  "unsupported-clip": "This kind of video or sound is not read here. Convert it to MP4 and try that file.",
  "invalid-clip": "The clip is damaged. Convert it to MP4 and try that file.",
  "empty-clip": "There is neither picture nor sound in this file.",
  "clip-too-long": "The clip is too long. Cut it into shorter parts.",
  "clip-too-costly": "The clip takes too much time or memory to read. Convert it to a smaller one.",
  "overloaded": "Many people use the service now. Wait a moment.",
  "rate-limited": "That was a lot at once. Wait a minute.",
  "timeout": "That took too long. Wait a moment, or try a smaller file.",
  "unavailable": "The service is still starting, or one of its models is missing.",
};
// Other refusals of a request (4xx) would meet it again.
const RETRIED = new Set([401, 408, 409, 429]);

/**
 * Show an error in `place`; errors that are none of ours go to the console as well.
 * @param {HTMLElement} place @param {unknown} error @param {(() => void) | null} retry
 */
export function showNotice(place, error, retry = null) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  const problem = error instanceof Problem ? error : asProblem(error);
  const text = el("div", { class: "text" }, el("strong", {}, problem.title));
  const words = ADVICE[problem.slug] ?? (problem.detail && sentence(problem.detail));
  if (words) text.append(el("span", { class: "detail" }, words));
  text.append(...workings(problem));
  const notice = el("div", { class: "notice", role: "alert" }, text);
  const isFinal = problem.status >= 400 && problem.status < 500 && !RETRIED.has(problem.status);
  if (retry && !isFinal) {
    notice.append(el("button", { type: "button", onclick: () => retry() }, "Try again"));
  }
  place.replaceChildren(notice);
}

/** Take away what is shown. @param {HTMLElement} place */
export function clearNotice(place) {
  place.replaceChildren();
}

/** What whoever runs the service would ask for, folded away. */
function workings({ slug, detail, requestId }) {
  const lines = [ADVICE[slug] && detail && sentence(detail), requestId && `Request ${requestId}`].filter(Boolean);
  if (!lines.length) return [];
  const paragraphs = lines.map((line) => el("p", { class: "request" }, line));
  return [el("details", { class: "workings" }, el("summary", {}, "Details"), ...paragraphs)];
}

/** A detail as a sentence of its own. @param {string} detail */
export function sentence(detail) {
  return detail.slice(0, 1).toUpperCase() + detail.slice(1);
}

function asProblem(error) {
  console.error(error);
  return new Problem({ title: "The page failed", detail: String(error) });
}
