/** The picture that the newest reply is about. @module */

import { el } from "./dom.js";

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
