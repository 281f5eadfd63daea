/** Everything that shows a run of estimates: the moment, the time before it, and the whole. */

import { showAttention, showGate } from "./attention.js";
import { Cast, estimatesOf, frameOf, showChoice } from "./affect-faces.js";
import { Circumplex } from "./circumplex.js";
import { clock, ranked, signed } from "./dom.js";
import { shares } from "./face-card.js";
import { Timeline } from "./timeline.js";

const MOST_FRAMES = 45000;
const LEFT_OUT = 5000;

/** Keeps the frames of a session or clip and shows one of them: the newest, or one asked for. Of
 *  several faces one is meant. */
export class Board {
  /** @type {any[]} */
  frames = [];
  /** The same frames, as they are of the face that is meant. @type {any[]} */
  own = [];
  /** Number of that face; null for the first one, whoever that is. @type {number | null} */
  who = null;
  cast = new Cast();
  shown = -1;
  #parts;
  #circumplex;
  #timeline;
  #chosen;

  /**
   * @param {Record<string, any>} parts @param {(timeS: number) => void} seek
   * @param {() => void} chosen called when another face is meant
   */
  constructor(parts, seek, chosen) {
    this.#parts = parts;
    this.#chosen = chosen;
    this.#circumplex = new Circumplex(parts.circumplex);
    this.#timeline = new Timeline(parts.timeline, seek);
    parts.scrub.addEventListener("input", () => seek(this.frames[Number(parts.scrub.value)].time_s));
  }

  /** Forget all frames. @param {number} durationS Length of the clip; 0 for a live session. */
  clear(durationS = 0) {
    this.frames = [];
    this.own = [];
    this.who = null;
    this.cast = new Cast();
    this.#timeline.clear(durationS);
    this.#showCast();
    this.#parts.scrub.disabled = true;
    this.show(-1);
  }

  /** Add a frame; `follow` shows it. */
  add(frame, follow = true) {
    const leaveOut = this.frames.length >= MOST_FRAMES ? LEFT_OUT : 0;
    const isAnother = this.cast.add(frame);
    this.frames.push(frame);
    this.own.push(frameOf(frame, this.who));
    for (const list of [this.frames, this.own]) list.splice(0, leaveOut);
    this.#timeline.add(frame, leaveOut);
    if (isAnother) this.#recast();
    const { scrub } = this.#parts;
    scrub.disabled = false;
    scrub.max = String(this.frames.length - 1);
    if (follow) this.show(this.frames.length - 1);
  }

  /** Go on meaning the face that is meant, if it still counts; where there are not several, whoever is there. */
  #recast() {
    const { areSeveral, named } = this.cast;
    const isThere = named.some(({ id }) => id === this.who);
    this.choose(areSeveral ? (isThere ? this.who : named[0].id) : null);
  }

  /** Mean a face; null for the first one. @param {number | null} id */
  choose(id) {
    this.who = id;
    this.own = this.frames.map((frame) => frameOf(frame, id));
    this.#showCast();
    this.show(this.shown);
    this.#chosen();
  }

  /** What is to be drawn of a frame's faces: each box, its colour and number where there are several. */
  boxes(frame) {
    const { areSeveral } = this.cast;
    return (areSeveral ? estimatesOf(frame) : [frame]).filter(({ face }) => face?.box).map(({ face }) => ({
      face: { box: face.box, landmarks: null },
      isLost: face.status === "lost",
      ...(areSeveral && { colour: this.cast.colourOf(face.track_id), label: this.#label(face.track_id) }),
    }));
  }

  #label(id) {
    return id === this.who ? `Face ${id}, shown` : `Face ${id}`;
  }

  #showCast() {
    const { faces, legend } = this.#parts;
    showChoice(faces, this.cast, this.who, (id) => this.choose(id));
    legend.classList.toggle("of-several", this.cast.areSeveral);
    this.#timeline.follow(this.cast.areSeveral ? this.cast.named : [], this.who, this.frames);
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
    const frame = this.own[index];
    this.shown = index;
    this.#circumplex.show(this.own, index, this.#points(this.frames[index]));
    this.#timeline.mark(frame ? frame.time_s : null);
    valence.textContent = signed(frame?.valence);
    arousal.textContent = signed(frame?.arousal);
    quadrant.textContent = inAWord(frame);
    showExpressions(this.#parts.expressions, frame);
    this.#parts.why.hidden = !frame?.expressions;
    showAttention(attention, frame);
    showGate(gate, frame);
    scrub.value = String(Math.max(index, 0));
    moment.textContent = frame ? clock(frame.time_s) : "–";
    if (frame) scrub.setAttribute("aria-valuetext", this.#momentWords(frame));
  }

  /** Where the faces of a frame lie, where there are several. */
  #points(frame) {
    if (!frame || !this.cast.areSeveral) return [];
    return estimatesOf(frame).map(({ face, valence, arousal }) => ({
      valence, arousal, colour: this.cast.colourOf(face.track_id), isMeant: face.track_id === this.who,
    }));
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

/** What most people would call a face; where no words are told, its quadrant, such as `Positive,
 *  active`. */
export function inAWord(estimate) {
  const [top] = ranked(estimate?.expressions);
  const word = top ? top[0] : estimate?.quadrant?.replace("-", ", ");
  return word ? word[0].toUpperCase() + word.slice(1) : "–";
}

/** The word that most of the frames have. @param {any[]} frames */
export function mostly(frames) {
  const counts = {};
  for (const word of frames.map(inAWord)) counts[word] = (counts[word] ?? 0) + 1;
  delete counts["–"];
  return ranked(counts)[0]?.[0] ?? "–";
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
