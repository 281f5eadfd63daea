/** Affect of a photograph: every face by itself, and what it looks like. @module */

import { inAWord } from "./affect-board.js";
import { el, signed } from "./dom.js";
import { MeasuredPicture } from "./overlay.js";
import { service, withKey } from "./service.js";
import { isSure } from "./timeline.js";

/** A photograph shown on the board of `view`; the best face first, the others at a click. */
export class PhotoSource {
  running = true;
  measured = new MeasuredPicture();
  size;
  model;
  #view;
  #file;
  #abort = new AbortController();

  /** @param {any} view the view of affect @param {File} file */
  constructor(view, file) {
    this.#view = view;
    this.#file = file;
    this.name = file.name;
  }

  /** Send the photograph and show its faces; rejects with a Problem where that fails. */
  async run() {
    this.#view.showWork("Looking at the photo", "Looking at the photo");
    this.#view.parts.about.textContent = this.name;
    await this.#showPicture();
    const options = { signal: this.#abort.signal };
    const reply = await withKey(() => service.affectPhoto(this.#file, options));
    if (this.running) this.#take(reply);
  }

  stop() {
    this.running = false;
    this.#abort.abort();
    this.#view.rest("watch", "Stopped");
  }

  /** There is one moment in a photograph. */
  seek() {}

  async #showPicture() {
    const picture = await createImageBitmap(this.#file).catch(() => null);
    if (!picture) {
      this.#view.parts.stage.dataset.words = "This browser cannot show the photo";
      return;
    }
    const canvas = el("canvas", { width: picture.width, height: picture.height });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    this.measured.keep(canvas);
    this.size = { width: picture.width, height: picture.height };
    this.#view.overlay.draw(this.size);
  }

  #take(reply) {
    const { parts } = this.#view;
    this.model = reply.model;
    this.size = { width: reply.image.width, height: reply.image.height };
    // Faces stand side by side where a clip has moments one after the other.
    for (const [index, face] of reply.faces.entries()) {
      this.#view.add({ ...face, time_s: index, used: ["face"], attention: [], gate: null }, false);
    }
    parts.summary.replaceChildren(...reply.faces.map((face, index) => this.#figure(face, index)));
    parts.answer.textContent = [answer(reply.faces), ...reply.notes].join(" ");
    parts["summary-panel"].hidden = false;
    parts.timepanel.hidden = true;
    this.running = false;
    this.#view.rest("good", reply.faces.length === 1 ? "One face" : `${reply.faces.length} faces`);
    this.#show(0);
  }

  #figure(face, index) {
    const doubt = isSure(face) ? "" : ", uncertain";
    const words = `${signed(face.valence)}, ${signed(face.arousal)}${doubt}`;
    const show = el("button", { type: "button", class: "quiet", onclick: () => this.#show(index) }, `Face ${index + 1}`);
    return el("div", {}, el("dt", {}, show), el("dd", { class: "word" }, inAWord(face), el("small", {}, ` ${words}`)));
  }

  #show(index) {
    this.#view.board.show(Math.min(index, this.#view.board.frames.length - 1));
    this.#view.overlay.draw(this.size);
  }
}

function answer(faces) {
  if (!faces.length) return "No face was found.";
  const first = faces[0];
  const word = inAWord(first).toLowerCase();
  const looks = first.expressions ? `most people would call it ${word}` : word;
  return faces.length === 1 ? `The face: ${looks}.` : `Each face by itself. The first: ${looks}.`;
}
