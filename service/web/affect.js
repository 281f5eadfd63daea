/** The view of affect: a live session or a clip on one board. @module */

import { Board } from "./affect-board.js";
import { ClipSource } from "./affect-clip.js";
import { LiveSource } from "./affect-live.js";
import { PhotoSource } from "./affect-photo.js";
import { toCsv, toSvg } from "./affect-save.js";
import { Problem } from "./client/countenance.js";
import { partsOf, samplePhoto, save, stem, takeFiles } from "./dom.js";
import { drawFace } from "./draw.js";
import { clearNotice, showNotice } from "./notice.js";
import { Overlay } from "./overlay.js";
import { tellStatus } from "./readout.js";
import { askForKey, service } from "./service.js";

/** Make the view work. @param {HTMLElement} view */
export function mountAffect(view) {
  const affect = new Affect(view);
  affect.lookForModel();
  return { leave: () => affect.leave() };
}

class Affect {
  constructor(view) {
    this.parts = partsOf(view);
    this.saves = [...view.querySelectorAll("[data-save]")];
    /** @type {LiveSource | ClipSource | null} */
    this.source = null;
    const seek = (timeS) => this.source?.seek(timeS);
    this.board = new Board(this.parts, seek, () => this.overlay.draw(this.source?.size));
    const { drop, file, sample, start, stop, cut, overlay, video } = this.parts;
    this.overlay = new Overlay(overlay, video, (...canvas) => this.paint(...canvas));
    const accepts = (item) => /^(video|audio|image)\//.test(item.type);
    sample.addEventListener("click", async () => this.open(await samplePhoto()));
    takeFiles(view, { drop, input: file, accepts, take: (item) => this.open(item) });
    start.addEventListener("click", () => this.begin(() => new LiveSource(this)));
    stop.addEventListener("click", () => this.stopOrClose());
    cut.addEventListener("click", () => this.source?.cut?.());
    for (const button of this.saves) {
      button.addEventListener("click", () => this.save(button.dataset.save));
    }
  }

  /** Say it before somebody tries, where the service has no model for this view. */
  async lookForModel() {
    const { models, absent } = await service.ready().catch(() => ({}));
    if (!models || models.includes("affect")) return;
    const title = "This service has no model for affect";
    showNotice(this.parts.notice, new Problem({ title, detail: absent?.affect }));
  }

  open(file) {
    const Source = file.type.startsWith("image/") ? PhotoSource : ClipSource;
    return this.begin(() => new Source(this, file));
  }

  /** Run a source to its end, and tell what went wrong with it. @param {() => any} make */
  async begin(make) {
    this.clear();
    clearNotice(this.parts.notice);
    const source = (this.source = make());
    try {
      await source.run();
    } catch (error) {
      if (this.source === source && source.running) await this.fail(error, make);
    }
  }

  async fail(error, make) {
    const hasFrames = this.board.frames.length > 0;
    this.source.stop();
    if (!hasFrames) this.clear();
    if (error instanceof Problem && error.status === 401 && (await askForKey(error))) {
      return this.begin(make);
    }
    return showNotice(this.parts.notice, error, () => this.begin(make));
  }

  /** A running source is stopped and what it found stays; a stopped one makes room. */
  stopOrClose() {
    if (this.source?.running) this.source.stop();
    else this.clear();
  }

  /** Leaving the view closes the camera; what was found is there on return. */
  leave() {
    if (this.source instanceof LiveSource) this.source.stop();
    this.parts.video.pause();
  }

  clear() {
    const { work, empty, busy, about, video } = this.parts;
    this.source?.stop();
    this.source?.close?.();
    this.source = null;
    work.hidden = true;
    empty.hidden = false;
    busy.hidden = this.parts.progress.hidden = true;
    about.textContent = "";
    this.parts["summary-panel"].hidden = true;
    this.parts.timepanel.hidden = false;
    video.removeAttribute("src");
    video.srcObject = null;
    video.controls = false;
    this.board.clear();
    this.allowSaving();
  }

  /** Make room for a source's pictures and figures. @param {string} waiting @param {string} status */
  showWork(waiting, status, isLive = false) {
    const { work, empty, busy, stop, stage } = this.parts;
    stage.dataset.words = "";
    empty.hidden = true;
    work.hidden = busy.hidden = false;
    busy.firstElementChild.textContent = waiting;
    stop.textContent = "Stop";
    this.parts["line-panel"].hidden = !isLive;
    this.parts["scrub-row"].hidden = isLive;
    this.tell("watch", status);
  }

  /** Say how a source ended: nothing more will come of it. */
  rest(kind, words) {
    const { busy, progress, stop } = this.parts;
    busy.hidden = progress.hidden = this.parts["line-panel"].hidden = true;
    this.parts["scrub-row"].hidden = false;
    stop.textContent = "Close";
    this.tell(kind, words);
  }

  add(frame, follow) {
    this.parts.busy.hidden = true;
    this.board.add(frame, follow);
    if (this.board.frames.length < 3) this.allowSaving();
    if (follow) this.overlay.draw(this.source?.size);
  }

  /** @param {"good" | "watch" | "bad"} kind @param {string} words */
  tell(kind, words) {
    tellStatus(this.parts.status, kind, words);
  }

  paint(context, place, unit) {
    const frame = this.board.frames[this.board.shown];
    this.source?.measured?.paint(context, place);
    if (!frame || this.source?.isElsewhere?.(frame.time_s)) return;
    for (const { face, isLost, colour, label } of this.board.boxes(frame)) {
      drawFace(context, face, place, { box: true, unit: unit * 1.1, dashed: isLost, colour, label });
    }
  }

  allowSaving() {
    for (const button of this.saves) button.disabled = this.board.frames.length < 2;
  }

  save(kind) {
    const { frames, own, who } = this.board;
    const { name, model } = this.source;
    const title = who === null ? name : `${name}, face ${who}`;
    save(kind === "csv" ? toCsv(frames, model) : toSvg(own, title), `${stem(name)}.${kind}`);
  }
}
