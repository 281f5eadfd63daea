/** Valence and arousal over time (uPlot), and the moment that is looked at. @module */

import { clock, isNumber } from "./dom.js";

const HEIGHT = 240;
const UNSURE = 0.5;
const SERIES = 5; // times, and of both figures the sure ones and all
const LIVE_S = 30;

/** Whether an estimate is given with confidence; where none is told, it is. */
export function isSure(frame) {
  return !isNumber(frame?.confidence) || frame.confidence >= UNSURE;
}

/** A chart that follows its data at the display's rate and tells which moment was pointed at. */
export class Timeline {
  #place;
  #seek;
  #chart = null;
  #data = empty();
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
    this.#data = empty();
    [this.#from, this.#until] = [0, durationS];
    this.#moment = null;
    this.#build();
  }

  /** Add the newest frame; `first` says how many old ones are to be left out. */
  add(frame, leaveOut = 0) {
    const { time_s, valence = null, arousal = null } = frame;
    const sure = (value) => (isSure(frame) ? value : null);
    const values = [time_s, valence, arousal, sure(valence), sure(arousal)];
    this.#data.forEach((series, index) => {
      series.push(values[index]);
      if (leaveOut) series.splice(0, leaveOut);
    });
    this.#ask();
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
    const line = (label, name, alpha) =>
      ({ label, stroke: colour(name), width: 2, alpha, spanGaps: false, points: { show: false } });
    return {
      width,
      height: HEIGHT,
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
      scales: { x: { time: false, range: () => this.#range() }, y: { range: [-1, 1] } },
      // The uncertain parts show through where the sure ones are not drawn over them.
      series: [
        {}, line("Valence", "valence", 0.3), line("Arousal", "arousal", 0.3),
        line("Valence", "valence", 1), line("Arousal", "arousal", 1),
      ],
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

function empty() {
  return Array.from({ length: SERIES }, () => []);
}

/** A tick's time: as many digits as it needs. */
function axisClock(seconds) {
  return clock(Math.max(0, seconds), 2).replace(/\.?0+$/, "");
}

function axisValue(value) {
  return String(value).replace("-", "−");
}
