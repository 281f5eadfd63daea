/** Landmarks moved towards their newest places at the display's rate. @module */

const SETTLE_MS = 45;
const JUMP = 0.4; // of the box's width: further than this a face is somewhere else, not moving

/** Follows tracked faces; between two replies they glide instead of leaping. */
export class Glide {
  /** @type {Map<number, any>} */
  #shown = new Map();
  #last = 0;

  /** The faces as they are to be drawn now. @param {any[]} faces of the newest reply */
  step(faces, now = performance.now()) {
    const share = 1 - Math.exp(-Math.min(now - this.#last, 200) / SETTLE_MS);
    this.#last = now;
    const next = new Map();
    for (const face of faces) next.set(face.track_id, glide(this.#shown.get(face.track_id), face, share));
    this.#shown = next;
    return [...next.values()];
  }
}

function glide(shown, face, share) {
  if (!shown?.landmarks || !face.landmarks || hasJumped(shown.box, face.box)) return face;
  const towards = (from, to) => from + (to - from) * share;
  return {
    ...face,
    box: face.box.map((value, index) => towards(shown.box[index], value)),
    landmarks: face.landmarks.map(([x, y], index) => [
      towards(shown.landmarks[index][0], x),
      towards(shown.landmarks[index][1], y),
    ]),
  };
}

function hasJumped(before, after) {
  const width = Math.max(after[2] - after[0], 1);
  return Math.hypot(after[0] - before[0], after[1] - before[1]) > width * JUMP;
}
