/** How fast a live session goes: frames a second, latency, and what was lost. @module */

const WINDOW_MS = 2000;
const FEWEST = 4; // answers that are counted however slowly they came, up to:
const LONGEST_MS = 20000;

/** Counts the answers of the last two seconds, or the last few where they are rarer. */
export class Pace {
  /** @type {{at: number, latencyMs: number}[]} */
  #answers = [];
  hasAnswers = false;
  unanswered = 0;

  /** @param {number} sentAt When the answered frame was sent, by performance.now. */
  answered(sentAt) {
    const at = performance.now();
    this.#answers.push({ at, latencyMs: at - sentAt });
    this.hasAnswers = true;
  }

  /** Frames a second and the median latency in milliseconds; null where nothing came. */
  now() {
    const now = performance.now();
    const isCounted = ({ at }, index, all) =>
      now - at < (index >= all.length - FEWEST ? LONGEST_MS : WINDOW_MS);
    this.#answers = this.#answers.filter(isCounted);
    const latencies = this.#answers.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
    if (!latencies.length) return { fps: 0, latencyMs: null };
    const [first, last] = [this.#answers[0].at, this.#answers.at(-1).at];
    const fps = last > first ? ((latencies.length - 1) * 1000) / (last - first) : 0;
    return { fps, latencyMs: latencies[Math.floor(latencies.length / 2)] };
  }
}
