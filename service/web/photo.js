/** The view of one photo: its faces over it and as cards, to look at and to save. @module */

import { el, partsOf, samplePhoto, save, stem, takeFiles } from "./dom.js";
import { drawFace } from "./draw.js";
import { faceCard } from "./face-card.js";
import { clearNotice, showNotice } from "./notice.js";
import { Overlay } from "./overlay.js";
import { service, withKey } from "./service.js";
import { Zoom } from "./zoom.js";

const MOST_OPEN = 3; // cards that are shown whole; of more faces the list is short

/** Make the view work. @param {HTMLElement} view */
export function mountPhoto(view) {
  const photo = new Photo(view);
  return { leave: () => photo.leave() };
}

class Photo {
  constructor(view) {
    this.parts = partsOf(view);
    this.layers = [...view.querySelectorAll("[data-layer]")];
    this.highlighted = -1;
    this.file = null;
    this.reply = null;
    this.abort = new AbortController();
    const { drop, file, sample, another, overlay, picture } = this.parts;
    this.overlay = new Overlay(overlay, picture, (...canvas) => this.paint(...canvas));
    this.zoom = new Zoom(this.parts.stage, picture, () => this.overlay.draw());
    const zooms = { in: () => this.zoom.step(1), out: () => this.zoom.step(-1), fit: () => this.zoom.fit() };
    this.parts.zoom.addEventListener("click", ({ target }) => zooms[target.dataset.zoom]?.());
    const accepts = (item) => item.type.startsWith("image/");
    takeFiles(view, { drop, input: file, accepts, take: (item) => this.open(item) });
    sample.addEventListener("click", async () => this.open(await samplePhoto()));
    another.addEventListener("click", () => file.click());
    for (const layer of this.layers) layer.addEventListener("change", () => this.overlay.draw());
    for (const button of view.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => this.save(button.dataset.save));
    }
  }

  leave() {
    this.abort.abort();
  }

  /** Show a photo and ask for its faces. @param {File} file */
  async open(file) {
    this.abort.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.file = file;
    this.showPending(file);
    try {
      const options = { include: ["aligned", "denoised"], signal };
      const reply = await withKey(() => service.align(file, options));
      if (!signal.aborted) this.showReply(reply);
    } catch (error) {
      if (!signal.aborted) this.showFailure(error);
    }
  }

  showPending(file) {
    const { notice, empty, result, picture, busy, cards, count, about } = this.parts;
    clearNotice(notice);
    this.reply = null;
    this.zoom.fit();
    this.parts.intro.hidden = true;
    empty.hidden = true;
    result.hidden = busy.hidden = false;
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(file);
    picture.alt = file.name;
    cards.replaceChildren();
    count.textContent = "Looking for faces";
    about.textContent = file.name;
    this.allowSaving(false);
    this.overlay.draw();
  }

  showReply(reply) {
    const { busy, cards, count, about } = this.parts;
    this.reply = reply;
    busy.hidden = true;
    const { width, height, format } = reply.image;
    count.textContent = countWords(reply.faces.length);
    const total = Object.values(reply.timings_ms).reduce((sum, part) => sum + part, 0);
    const model = `${reply.model.name} ${reply.model.version} (${reply.model.sha256.slice(0, 8)})`;
    const facts = [this.file.name, `${width} × ${height} ${format}`, `${total.toFixed(0)} ms`, model];
    about.textContent = [...facts, ...reply.notes].join(" · ");
    const isOpen = reply.faces.length <= MOST_OPEN;
    cards.replaceChildren(...reply.faces.map((face, index) => this.card(face, index, isOpen)));
    if (!reply.faces.length) cards.replaceChildren(noFace());
    this.allowSaving(true);
    this.overlay.draw(reply.image);
  }

  showFailure(error) {
    const { notice, empty, result, busy } = this.parts;
    const { file } = this;
    result.hidden = true;
    empty.hidden = busy.hidden = false;
    showNotice(notice, error, () => this.open(file));
  }

  card(face, index, isOpen) {
    const card = faceCard(face, index + 1, isOpen);
    const show = el("button", { type: "button", class: "quiet", onclick: () => this.show(face) }, "Show");
    show.setAttribute("aria-label", `Show face ${index + 1} in the photo`);
    card.querySelector(".where").append(show);
    const point = (number) => () => {
      this.highlighted = number;
      this.overlay.draw(this.reply?.image);
    };
    card.addEventListener("pointerenter", point(index));
    card.addEventListener("pointerleave", point(-1));
    return card;
  }

  /** Enlarge a face in the photo. */
  show(face) {
    this.zoom.to(face.box, this.reply.image);
    this.parts.stage.scrollIntoView({ block: "nearest" });
  }

  paint(context, place, unit) {
    const shown = Object.fromEntries(this.layers.map((box) => [box.dataset.layer, box.checked]));
    const faces = this.reply?.faces ?? [];
    faces.forEach((face, index) => {
      const faint = this.highlighted >= 0 && this.highlighted !== index;
      const label = faces.length > 1 && shown.box ? String(index + 1) : "";
      drawFace(context, face, place, { ...shown, label, unit: unit * 1.1, faint });
    });
    const what = `${this.file?.name ?? "The photo"}: ${countWords(faces.length).toLowerCase()}`;
    this.parts.overlay.setAttribute("aria-label", what);
  }

  allowSaving(allowed) {
    for (const button of this.parts.result.querySelectorAll("[data-save]")) {
      button.disabled = !allowed;
    }
  }

  async save(kind) {
    const name = `${stem(this.file.name)}.${kind}`;
    try {
      save(await this.export(kind), name);
    } catch (error) {
      showNotice(this.parts.notice, error);
    }
  }

  /** @param {string} kind @returns {Promise<Blob>} */
  async export(kind) {
    if (kind === "csv") return withKey(() => service.alignAs(this.file, "text/csv"));
    if (kind === "png") return this.drawn();
    return new Blob([JSON.stringify(this.reply, null, 2)], { type: "application/json" });
  }

  /** The photo at its own size with what is drawn over it. @returns {Promise<Blob>} */
  drawn() {
    const { width, height } = this.reply.image;
    const canvas = el("canvas", { width, height });
    const context = canvas.getContext("2d");
    context.drawImage(this.parts.picture, 0, 0, width, height);
    this.paint(context, ([x, y]) => [x + 0.5, y + 0.5], Math.max(width, height) / 900);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }
}

function countWords(count) {
  if (count === 0) return "No face found";
  return count === 1 ? "One face" : `${count} faces`;
}

function noFace() {
  const words = "Small faces (under 40 pixels), and faces that are turned far away or mostly covered, may be missed.";
  return el("div", { class: "card" }, el("p", { class: "none" }, words));
}
