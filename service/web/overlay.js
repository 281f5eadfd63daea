/** What lies over a picture or video: a canvas as sharp as the screen, and another picture. @module */

import { el } from "./dom.js";

/** Keeps the canvas at its size on the screen; what is drawn is asked for when that changes. */
export class Overlay {
  #canvas;
  #under;
  #paint;
  #size;

  /**
   * @param {HTMLCanvasElement} canvas @param {HTMLImageElement | HTMLVideoElement} under
   * @param {(context: CanvasRenderingContext2D, place: import("./draw.js").Place,
   *          unit: number) => void} paint
   */
  constructor(canvas, under, paint) {
    this.#canvas = canvas;
    this.#under = under;
    this.#paint = paint;
    this.mirrored = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
    new ResizeObserver(() => this.draw()).observe(under);
  }

  /**
   * Draw anew. @param {{width: number, height: number}} [size] Size of the picture that the places
   * are of, in pixels; the last one where it is not given, and at first that of what lies below.
   */
  draw(size) {
    const ratio = globalThis.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.#canvas;
    const context = this.#cleared(Math.round(clientWidth * ratio), Math.round(clientHeight * ratio));
    this.#size = size ?? this.#size;
    const { width, height } = this.#size ?? sizeOf(this.#under);
    if (!context || !width || !clientWidth) return;
    const area = shownArea(this.#canvas, this.#under, width, height);
    const scale = area.width / width;
    const place = ([x, y]) => [
      (area.left + (this.mirrored ? width - x - 0.5 : x + 0.5) * scale) * ratio,
      (area.top + (y + 0.5) * scale) * ratio,
    ];
    this.#paint(context, place, ratio);
  }

  #cleared(width, height) {
    const canvas = this.#canvas;
    const context = canvas.getContext("2d");
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    } else {
      context.clearRect(0, 0, width, height);
    }
    return context;
  }
}

/** Where `object-fit: contain` puts the picture, in pixels of the page from the canvas's corner. */
function shownArea(canvas, under, width, height) {
  const outer = canvas.getBoundingClientRect();
  const inner = under.getBoundingClientRect();
  const scale = Math.min(inner.width / width, inner.height / height);
  return {
    left: inner.left - outer.left + (inner.width - width * scale) / 2,
    top: inner.top - outer.top + (inner.height - height * scale) / 2,
    width: width * scale,
  };
}

function sizeOf(under) {
  return under instanceof HTMLVideoElement
    ? { width: under.videoWidth, height: under.videoHeight }
    : { width: under.naturalWidth, height: under.naturalHeight };
}

/** Keeps a picture, to be shown instead of the live one where replies come late. */
export class MeasuredPicture {
  canvas = el("canvas");

  /** Keep a copy: the grabber's next picture takes this one's place. @param {HTMLCanvasElement} picture */
  keep(picture) {
    this.canvas.width = picture.width;
    this.canvas.height = picture.height;
    this.canvas.getContext("2d").drawImage(picture, 0, 0);
  }

  /** Draw it where `place` puts its corners, mirrored where these are. */
  paint(context, place) {
    const { width, height } = this.canvas;
    const [x1, y1] = place([-0.5, -0.5]);
    const [x2, y2] = place([width - 0.5, height - 0.5]);
    context.save();
    context.setTransform((x2 - x1) / width, 0, 0, (y2 - y1) / height, x1, y1);
    context.drawImage(this.canvas, 0, 0);
    context.restore();
  }
}
