/** Everything that shows a run of estimates: the moment, the time before it, and the whole. */

import { showAttention, showGate } from "./attention.js";
import { Circumplex } from "./circumplex.js";
import { clock, signed } from "./dom.js";
import { shares } from "./face-card.js";
import { Timeline } from "./timeline.js";

const MOST_FRAMES = 45000;
const LEFT_OUT = 5000;

/** Keeps the frames of a session or clip and shows one of them: the newest, or one asked for. */
export class Board {
  /** @type {any[]} */
  frames = [];
  shown = -1;
  #parts;
  #circumplex;
  #timeline;

  /** @param {Record<string, any>} parts @param {(timeS: number) => void} seek */
  constructor(parts, seek) {
    this.#parts = parts;
    this.#circumplex = new Circumplex(parts.circumplex);
    this.#timeline = new Timeline(parts.timeline, seek);
    parts.scrub.addEventListener("input", () => seek(this.frames[Number(parts.scrub.value)].time_s));
  }

  /** Forget all frames. @param {number} durationS Length of the clip; 0 for a live session. */
  clear(durationS = 0) {
    this.frames = [];
    this.#timeline.clear(durationS);
    this.#parts.scrub.disabled = true;
    this.show(-1);
  }

  /** Add a frame; `follow` shows it. */
  add(frame, follow = true) {
    const leaveOut = this.frames.length >= MOST_FRAMES ? LEFT_OUT : 0;
    this.frames.push(frame);
    this.frames.splice(0, leaveOut);
    this.#timeline.add(frame, leaveOut);
    const { scrub } = this.#parts;
    scrub.disabled = false;
    scrub.max = String(this.frames.length - 1);
    if (follow) this.show(this.frames.length - 1);
  }

  /** Let the whole of a live session be looked at. */
  finish() {
    this.#timeline.finish();
  }

  /** Show the frame nearest to a time. @param {number} timeS */
  showTime(timeS) {
    this.show(nearest(this.frames, timeS));
  }

  /** Show frame `index`; -1 for none. */
  show(index) {
    const { valence, arousal, quadrant, attention, gate, scrub, moment } = this.#parts;
    const frame = this.frames[index];
    this.shown = index;
    this.#circumplex.show(this.frames, index);
    this.#timeline.mark(frame ? frame.time_s : null);
    valence.textContent = signed(frame?.valence);
    arousal.textContent = signed(frame?.arousal);
    quadrant.textContent = quadrantWords(frame?.quadrant);
    showExpressions(this.#parts.expressions, frame);
    showAttention(attention, frame);
    showGate(gate, frame);
    scrub.value = String(Math.max(index, 0));
    moment.textContent = frame ? clock(frame.time_s) : "–";
    if (frame) scrub.setAttribute("aria-valuetext", this.#momentWords(frame));
  }

  #momentWords(frame) {
    return `${clock(frame.time_s)}: valence ${signed(frame.valence)}, arousal ${signed(frame.arousal)}`;
  }
}

function showExpressions(place, frame) {
  const bars = shares(frame?.expressions);
  place.hidden = bars === null;
  place.replaceChildren(...(bars ? [bars] : []));
}

/** A quadrant's name for people, such as `Positive, active`. */
export function quadrantWords(quadrant) {
  if (!quadrant) return "–";
  const words = quadrant.replace("-", ", ");
  return words[0].toUpperCase() + words.slice(1);
}

/** Index of the frame nearest to a time; -1 where there is none. */
function nearest(frames, timeS) {
  let [low, high] = [0, frames.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle].time_s < timeS) low = middle + 1;
    else high = middle;
  }
  const isBefore = low > 0 && timeS - frames[low - 1].time_s < frames[low].time_s - timeS;
  return isBefore ? low - 1 : Math.min(low, frames.length - 1);
}
