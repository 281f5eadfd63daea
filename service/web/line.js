/** What a person is told of a session's connection. @module */

/** Words for a change of a live session's state; null where there is nothing to tell. */
export class LineWords {
  #lostAt = 0;
  #lastStep = 0;
  #hasBegun = false;

  /** @param {{state: string, waitMs?: number, problem?: any}} detail @returns {string | null} */
  changed({ state, waitMs = 0, problem }) {
    if (state === "waiting") {
      this.#lostAt ||= performance.now();
      const why = problem && problem.slug !== "unreachable" ? `${problem.title}. ` : "";
      return `${why}Connection lost, trying again in ${(waitMs / 1000).toFixed(1)} s`;
    }
    if (state === "closed") return problem ? problem.title : null;
    return null;
  }

  /** @param {{step: number, status: string}} reply @returns {string | null} */
  answered({ step, status }) {
    const lostAt = this.#lostAt;
    const before = this.#lastStep;
    this.#lostAt = 0;
    if (step) this.#lastStep = step;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      return "The session began";
    }
    if (!lostAt) return null;
    const seconds = ((performance.now() - lostAt) / 1000).toFixed(1);
    return status === "reset" || step <= before
      ? `Back after ${seconds} s, the session started anew`
      : `Back after ${seconds} s, the session went on at step ${step}`;
  }
}

/** Add a line to a log of the newest few. @param {HTMLOListElement} list @param {string | null} text */
export function logLine(list, text) {
  if (!text) return;
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString([], { hour12: false });
  const item = document.createElement("li");
  const words = document.createElement("span");
  words.textContent = text;
  item.append(time, words);
  list.prepend(item);
  while (list.children.length > 6) list.lastElementChild.remove();
}

/** A name for a new session. @param {string} kind */
export function sessionName(kind) {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `${kind}-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
