/** The service this page belongs to, and the key it is asked with, kept for this tab. @module */

import { Countenance, Problem } from "./client/countenance.js";
import { partsOf } from "./dom.js";
import { sentence } from "./notice.js";

const STORED = "countenance-key";
const WHERE_FROM = "Whoever runs this service can give you one.";
const dialog = /** @type {HTMLDialogElement} */ (document.querySelector("#key-dialog"));
const forget = /** @type {HTMLButtonElement} */ (document.querySelector("#forget-key"));

export const service = new Countenance({ key: () => sessionStorage.getItem(STORED) });

/**
 * Do what asks the service; where it wants a key, ask the person for one and do it again.
 * @template T @param {() => Promise<T>} work @returns {Promise<T>}
 */
export async function withKey(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      if (!(await askForKey(error))) throw error;
    }
  }
}

/** Whether a key was given. @param {Problem} problem */
export function askForKey(problem) {
  const parts = partsOf(dialog);
  dialog.querySelector("h2").textContent = problem.title;
  const isFirst = sessionStorage.getItem(STORED) === null;
  parts.detail.textContent = isFirst || !problem.detail ? WHERE_FROM : sentence(problem.detail);
  parts.key.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const key = parts.key.value.trim();
        parts.key.value = "";
        if (dialog.returnValue === "use" && key) keep(key);
        resolve(dialog.returnValue === "use" && key !== "");
      },
      { once: true },
    );
  });
}

/** Show whether a key is kept, and let it be forgotten. */
export function mountKey() {
  partsOf(dialog).cancel.addEventListener("click", () => dialog.close("cancel"));
  forget.addEventListener("click", () => keep(null));
  forget.hidden = sessionStorage.getItem(STORED) === null;
}

/** @param {string | null} key */
function keep(key) {
  if (key === null) sessionStorage.removeItem(STORED);
  else sessionStorage.setItem(STORED, key);
  forget.hidden = key === null;
}
