/** Valence and arousal over time (uPlot), and the moment that is looked at. @module */

import { frameOf } from "./affect-faces.js";
import { clock, isNumber } from "./dom.js";

const HEIGHT = 240;
const UNSURE = 0.5;
const LIVE_S = 30;
const DASH = [6, 4];
// One face has a colour for each figure; of several each has one, and arousal is dashed.
const ONE = [{ id: null }];
// How much of a line is seen: where it is uncertain, and of faces that are not meant.
const [FAINT, ASIDE] = [0.3, 0.45];

/** Whether an estimate is given with confidence; where none is told, it is. */
export function isSure(frame) {
  return !isNumber(frame?.confidence) || frame.confidence >= UNSURE;
}

/** A chart that follows its data at the display's rate and tells which moment was pointed at. */
export class Timeline {
  #place;
  #seek;
  #chart = null;
  /** @type {{id: number | null, colour?: string}[]} */
  #faces = ONE;
  #who = null;
  #data = empty(ONE);
  #from = 0;
  #until = 0;
  #moment = null;
  #asked = false;

  /** @param {HTMLElement} place @param {(timeS: number) => void} seek */
  constructor(place, seek) {
    this.#place = place;
    this.#seek = seek;
    new ResizeObserver(() => this.#resize()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#build());
  }

  /** Empty the chart. @param {number} durationS Length of the clip; 0 for a live session. */
  clear(durationS = 0) {
    this.#data = empty(this.#faces);
    [this.#from, this.#until] = [0, durationS];
    this.#moment = null;
    this.#build();
  }

  /**
   * Draw several faces, or without any the first one, of all frames so far.
   * @param {{id: number, colour: string}[]} faces @param {number | null} who the one that is meant
   * @param {any[]} frames
   */
  follow(faces, who, frames) {
    this.#faces = faces.length ? faces : ONE;
    this.#who = who;
    this.#data = empty(this.#faces);
    for (const frame of frames) this.#push(frame);
    this.#build();
  }

  /** Add the newest frame; `leaveOut` says how many old ones are to be left out. */
  add(frame, leaveOut = 0) {
    this.#push(frame);
    if (leaveOut) for (const series of this.#data) series.splice(0, leaveOut);
    this.#ask();
  }

  #push(frame) {
    const values = this.#faces.flatMap(({ id }) => {
      const { valence = null, arousal = null, ...own } = frameOf(frame, id);
      return isSure(own) ? [valence, arousal, valence, arousal] : [valence, arousal, null, null];
    });
    [frame.time_s, ...values].forEach((value, index) => this.#data[index].push(value));
  }

  /** Show a live session from its beginning to its end, once that has come. */
  finish() {
    [this.#from, this.#until] = [this.#data[0].at(0) ?? 0, this.#data[0].at(-1) ?? 0];
    this.#ask();
  }

  /** Mark a moment. @param {number | null} timeS */
  mark(timeS) {
    this.#moment = timeS;
    this.#ask();
  }

  #ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#chart?.setData(this.#data);
    });
  }

  #resize() {
    const width = this.#place.clientWidth;
    if (!width) return;
    if (!this.#chart) this.#build();
    else if (this.#chart.width !== width) this.#chart.setSize({ width, height: HEIGHT });
  }

  #build() {
    const width = this.#place.clientWidth;
    this.#chart?.destroy();
    this.#chart = null;
    if (!width) return;
    this.#chart = new globalThis.uPlot(this.#options(width), this.#data, this.#place);
    this.#listen(this.#chart.over);
  }

  #options(width) {
    const colour = (name) => getComputedStyle(this.#place).getPropertyValue(`--${name}`).trim();
    const grid = { stroke: colour("line"), width: 1 };
    const font = `12px ${getComputedStyle(this.#place).fontFamily}`;
    const axis = { stroke: colour("ink-3"), grid, ticks: { show: false }, font };
    const line = (label, stroke, alpha, dash) =>
      ({ label, stroke, width: 2, alpha, dash, spanGaps: false, points: { show: false } });
    return {
      width,
      height: HEIGHT,
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
      scales: { x: { time: false, range: () => this.#range() }, y: { range: [-1, 1] } },
      // The uncertain parts show through where the sure ones are not drawn over them.
      series: [{}, ...this.#faces.flatMap((face) => {
        const alpha = face.id === this.#who ? 1 : ASIDE;
        const dash = face.colour && DASH;
        return [FAINT * alpha, alpha].flatMap((seen) => [
          line("Valence", face.colour ?? colour("valence"), seen),
          line("Arousal", face.colour ?? colour("arousal"), seen, dash),
        ]);
      })],
      axes: [
        { ...axis, space: 90, size: 30, label: "Time", labelSize: 18, labelFont: font,
          values: (_, splits) => splits.map(axisClock) },
        { ...axis, size: 44, label: "Valence, arousal", labelSize: 20, labelFont: font, splits: () => [-1, -0.5, 0, 0.5, 1], values: (_, all) => all.map(axisValue) },
      ],
      hooks: { draw: [(chart) => this.#drawMoment(chart, colour("ink"))] },
    };
  }

  /** The whole clip, or the last seconds of a live session. */
  #range() {
    if (this.#until > this.#from) return [this.#from, this.#until];
    const last = this.#data[0].at(-1) ?? 0;
    return last > LIVE_S ? [last - LIVE_S, last] : [0, LIVE_S];
  }

  #drawMoment(chart, colour) {
    if (this.#moment === null) return;
    const { ctx, bbox } = chart;
    const x = Math.round(chart.valToPos(this.#moment, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = globalThis.devicePixelRatio || 1;
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  }

  #listen(over) {
    const point = (event) => {
      const { left } = over.getBoundingClientRect();
      this.#seek(this.#chart.posToVal(event.clientX - left, "x"));
    };
    over.addEventListener("pointerdown", (event) => {
      over.setPointerCapture(event.pointerId);
      point(event);
    });
    over.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) point(event);
    });
  }
}

/** Times, and of each face both figures, all of them and the sure ones. */
function empty(faces) {
  return Array.from({ length: 1 + 4 * faces.length }, () => []);
}

/** A tick's time: as many digits as it needs. */
function axisClock(seconds) {
  return clock(Math.max(0, seconds), 2).replace(/\.?0+$/, "");
}

function axisValue(value) {
  return String(value).replace("-", "−");
}
