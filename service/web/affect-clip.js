/** Affect of a clip: sent whole, shown as it is found, and looked through afterwards. @module */

import { mostly } from "./affect-board.js";
import { frameOf } from "./affect-faces.js";
import { clock, el, isNumber, percent, signed } from "./dom.js";
import { sentence } from "./notice.js";
import { service, withKey } from "./service.js";

const SAME_MOMENT_S = 0.1;
const MOST_FACES = 4; // as many as are told of a moment

/** A clip shown on the board of `view`. */
export class ClipSource {
  running = true;
  size;
  model;
  #view;
  #file;
  #abort = new AbortController();
  #listeners = new AbortController();
  #isFollowing = true;
  #durationS = 0;
  #readSince = 0;

  /** @param {any} view the view of affect @param {File} file */
  constructor(view, file) {
    this.#view = view;
    this.#file = file;
    this.name = file.name;
  }

  /** Send the clip and show what comes; rejects with a Problem where that fails. */
  async run() {
    this.#show();
    await withKey(async () => {
      for await (const line of service.affect(this.#file, { maxFaces: MOST_FACES, signal: this.#abort.signal })) {
        if (this.running) this.#take(line);
      }
    });
    if (this.running) this.#end();
  }

  /** Wait for no more; what came stays. */
  stop() {
    if (!this.running) return;
    this.running = false;
    this.#abort.abort();
    this.#view.rest("watch", `Stopped at ${this.#reached()}`);
  }

  close() {
    this.#listeners.abort();
    URL.revokeObjectURL(this.#view.parts.video.src);
  }

  /** Look at a moment: the frame that was estimated then, and the picture. */
  seek(timeS) {
    const { video } = this.#view.parts;
    this.#isFollowing = false;
    if (video.readyState > 0) video.currentTime = timeS;
    this.#showTime(timeS);
  }

  /** Whether the picture that is seen is of another moment. @param {number} timeS */
  isElsewhere(timeS) {
    return Math.abs(this.#view.parts.video.currentTime - timeS) > SAME_MOMENT_S;
  }

  #show() {
    const { video, about, stage } = this.#view.parts;
    const { signal } = this.#listeners;
    this.#view.showWork("Sending the clip", "Sending the clip");
    about.textContent = this.name;
    video.muted = false;
    video.controls = true;
    video.src = URL.createObjectURL(this.#file);
    const playing = () => this.#follow();
    video.addEventListener("play", playing, { signal });
    video.addEventListener("seeked", () => this.#isFollowing || this.#showTime(video.currentTime), { signal });
    const cannotPlay = () => (stage.dataset.words = "This browser cannot play the clip");
    video.addEventListener("error", cannotPlay, { signal });
  }

  #take(line) {
    if (line.type === "clip") this.#takeClip(line);
    if (line.type === "summary") this.#takeSummary(line);
    if (line.type !== "frame") return;
    this.#view.add(line, this.#isFollowing);
    this.#tellProgress(line.time_s);
  }

  /** The share that is read, and about how long the rest takes. */
  #tellProgress(timeS) {
    const share = this.#durationS ? Math.min(timeS / this.#durationS, 1) : 0;
    this.#view.parts.progress.hidden = !share;
    this.#view.parts.progress.value = share;
    const leftS = (performance.now() - this.#readSince) / 1000 * (1 / share - 1);
    const left = share > 0.05 && leftS > 2 ? `, about ${Math.ceil(leftS)} s left` : "";
    this.#view.tell("watch", share ? `Reading, ${percent(share)}${left}` : `Reading ${this.#reached()}`);
  }

  #takeClip(clip) {
    this.model = clip.model;
    this.#durationS = clip.duration_s ?? 0;
    this.#readSince = performance.now();
    this.size = clip.width ? { width: clip.width, height: clip.height } : undefined;
    this.#view.board.clear(clip.duration_s ?? 0);
    const size = clip.width ? `${clip.width} × ${clip.height}` : "no picture";
    if (!clip.width) this.#view.parts.stage.dataset.words = "Sound alone";
    const length = clip.duration_s ? clock(clip.duration_s) : "";
    const sound = clip.sound ? `sound at ${clip.sound.sample_rate_hz} Hz` : "no sound";
    const facts = [this.name, clip.format, size, length, sound];
    this.#view.parts.about.textContent = facts.filter(Boolean).join(" · ");
  }

  #takeSummary(line) {
    const { answer, summary } = this.#view.parts;
    const { areSeveral, named } = this.#view.board.cast;
    answer.textContent = areSeveral ? severalWords(line, named.length) : answerWords(line, this.#mostly());
    const figures = areSeveral ? named.map(({ id }) => this.#faceFigure(id)) : this.#figures(line);
    const told = [...figures, ["With speech", [percent(line.share_with_voice ?? 0)]]];
    summary.replaceChildren(...told.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, ...value))));
    this.#view.parts["summary-panel"].hidden = false;
  }

  #mostly() {
    return mostly(this.#view.board.frames);
  }

  #figures({ valence, arousal, share_with_face }) {
    const spread = (part) => [signed(part?.mean), el("small", {}, ` ± ${(part?.std ?? 0).toFixed(2)}`)];
    return [
      ["Valence, mean", spread(valence)],
      ["Arousal, mean", spread(arousal)],
      ["Mostly", [this.#mostly()]],
      ["With a face", [percent(share_with_face ?? 0)]],
    ];
  }

  /** One of several faces: its mean, and what it mostly looks like. */
  #faceFigure(id) {
    const { frames } = this.#view.board;
    const own = frames.map((frame) => frameOf(frame, id)).filter(({ valence }) => isNumber(valence));
    const mean = (name) => signed(own.reduce((sum, frame) => sum + frame[name], 0) / own.length);
    const words = ` ${mean("valence")}, ${mean("arousal")}, in ${percent(own.length / frames.length)} of the frames`;
    return [`Face ${id}`, [mostly(own), el("small", {}, words)]];
  }

  #end() {
    this.running = false;
    this.#view.rest("good", `Done: ${this.#view.board.frames.length} frames`);
    if (this.#isFollowing) this.seek(this.#view.parts.video.currentTime);
  }

  #reached() {
    return clock(this.#view.board.frames.at(-1)?.time_s ?? 0);
  }

  /** While the clip plays, show the frame of the picture that is seen. */
  #follow() {
    const { video } = this.#view.parts;
    this.#isFollowing = false;
    this.#showTime(video.currentTime);
    if (!video.paused && !video.ended && video.src) requestAnimationFrame(() => this.#follow());
  }

  #showTime(timeS) {
    if (!this.#view.board.frames.length) return;
    this.#view.board.showTime(timeS);
    this.#view.overlay.draw(this.size);
  }
}

/** The whole clip in a sentence, with what it rests on. */
function answerWords({ valence, arousal, share_with_face, share_with_voice, notes = [] }, word) {
  if (!valence && !arousal) return "Neither a face nor speech was found: there is nothing to tell.";
  const looks = word === "–" ? "" : `Mostly ${word.toLowerCase()}.`;
  const seen = `A face was seen in ${percent(share_with_face ?? 0)} of the frames, speech was heard in ${percent(share_with_voice ?? 0)}.`;
  return [looks, seen, ...told(notes)].filter(Boolean).join(" ");
}

function severalWords({ notes = [] }, count) {
  const words = `${count} faces, each by itself: choose which one is shown. The voice is given to none of them where several are in sight.`;
  return [words, ...told(notes)].join(" ");
}

function told(notes) {
  return notes.map((note) => `${sentence(note)}.`);
}
