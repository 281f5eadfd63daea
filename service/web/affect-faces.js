/** The faces of a clip: who is in it, each one's colour, and the estimates of one. @module */

import { el, isNumber } from "./dom.js";

// Seen on pictures, on white and on black alike.
const COLOURS = ["#1f9e94", "#d9692b", "#7a6ff0", "#c2459b", "#3f8fd6", "#8a8f1e"];
const MOST_NAMED = 6;
const LEAST_SHARE = 0.1; // of the frames of the face that is seen most
const NOTHING = {
  valence: null, arousal: null, quadrant: null, expressions: null, confidence: null, used: [], face: null,
};
const ALONE = { attention: [], attention_ages_s: [], gate: null, others: [], voice: null };

/** The estimates of a frame that are of a face, the first face's first. */
export function estimatesOf(frame) {
  return [frame, ...(frame.others ?? [])].filter((one) => one.face);
}

/** A frame as it is of one face; `null` is the first one, whoever that is. */
export function frameOf(frame, id) {
  if (id === null) return frame;
  const one = estimatesOf(frame).find(({ face }) => face.track_id === id);
  if (one === frame) return frame;
  const used = isNumber(one?.valence) ? ["face"] : [];
  return { ...frame, ...ALONE, ...NOTHING, ...(one ? { ...one, used } : {}) };
}

/** Remembers which faces were seen, and whether there were ever several at once. */
export class Cast {
  #faces = new Map();
  #wereTogether = false;
  /** Those who count where there are several, by their numbers. @type {{id: number, colour: string}[]} */
  named = [];

  get areSeveral() {
    return this.named.length > 1;
  }

  /** Count a frame's faces. Returns whether others count than before. */
  add(frame) {
    const found = estimatesOf(frame);
    for (const { face, valence } of found) {
      const known = this.#faces.get(face.track_id) ?? { id: face.track_id, colour: this.#free(found), frames: 0 };
      known.frames += Number(isNumber(valence));
      this.#faces.set(face.track_id, known);
    }
    this.#wereTogether ||= found.filter(({ valence }) => isNumber(valence)).length > 1;
    const before = this.named.map(({ id }) => id);
    this.named = this.#wereTogether ? this.#seenMost() : [];
    return String(before) !== String(this.named.map(({ id }) => id));
  }

  /** Whoever just passes by does not count. */
  #seenMost() {
    const seen = [...this.#faces.values()].sort((a, b) => b.frames - a.frames);
    const most = seen.slice(0, MOST_NAMED).filter(({ frames }) => frames > LEAST_SHARE * seen[0].frames);
    return most.sort((a, b) => a.id - b.id);
  }

  /** How a face is drawn. @param {number} id */
  colourOf(id) {
    return this.#faces.get(id)?.colour ?? COLOURS[0];
  }

  /** A colour that nobody in sight has. */
  #free(found) {
    const taken = found.map(({ face }) => this.#faces.get(face.track_id)?.colour);
    return COLOURS.find((colour) => !taken.includes(colour)) ?? COLOURS[0];
  }
}

/** Buttons that choose the face which is shown. @param {HTMLElement} place */
export function showChoice(place, cast, shown, choose) {
  place.hidden = !cast.areSeveral;
  place.replaceChildren(...cast.named.map(({ id, colour }) => chip(id, colour, id === shown, choose)));
}

function chip(id, colour, isShown, choose) {
  const choice = el("input", { type: "radio", name: "affect-face", checked: isShown, onchange: () => choose(id) });
  const label = el("span", {}, `Face ${id}`);
  label.style.setProperty("--face", colour);
  return el("label", { class: "chip face-chip" }, choice, label);
}
