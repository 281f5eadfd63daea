/** The circumplex of affect: valence to the right, arousal upwards, the last seconds as a trail. */

import { isNumber, signed, svg } from "./dom.js";
import { isSure } from "./timeline.js";

const TRAIL_S = 4;
const TRAIL_POINTS = 48;
const NEUTRAL = 0.2; // a circle around the middle in which no word but `neutral` is meant
// Where raters place the words of faces (Scherer 2005; neutral is the middle), and at which side
// of the place the word stands: the point that lies there covers none.
const WORDS = [
  ["happy", 0.89, 0.17, -1], ["surprised", 0.4, 0.88, 1], ["afraid", -0.12, 0.79, -1],
  ["angry", -0.4, 0.7, -1], ["disgusted", -0.67, 0.49, 1], ["sad", -0.81, -0.4, 1],
  ["calm", 0.6, -0.5, -1],
];
const ASIDE = 0.085;
const QUARTERS = [
  ["Positive, active", 1, -1.045, "end"],
  ["Negative, active", -1, -1.045, "start"],
  ["Negative, passive", -1, 1.11, "start"],
  ["Positive, passive", 1, 1.11, "end"],
];

/** Draws into an SVG whose field is [-1, 1] both ways. */
export class Circumplex {
  /** @param {SVGSVGElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.trail = svg("g");
    this.others = svg("g");
    this.point = svg("circle", { class: "point", r: 0.055, visibility: "hidden" });
    canvas.replaceChildren(...field(), this.others, this.trail, this.point);
    this.show([], -1);
  }

  /** Show frame `index` of all `frames` of a face, how it came there, and the points of several
   *  faces then. */
  show(frames, index, several = []) {
    const frame = frames[index];
    this.others.replaceChildren(...several.filter(({ isMeant, valence }) => !isMeant && isNumber(valence)).map(another));
    this.canvas.style.setProperty("--face", several.find(({ isMeant }) => isMeant)?.colour ?? "");
    const points = frame ? trailTo(frames, index) : [];
    this.trail.replaceChildren(...segments(points));
    const isKnown = isNumber(frame?.valence) && isNumber(frame?.arousal);
    this.point.setAttribute("visibility", isKnown ? "visible" : "hidden");
    this.point.setAttribute("fill-opacity", isSure(frame) ? "1" : "0.4");
    if (isKnown) {
      this.point.setAttribute("cx", frame.valence);
      this.point.setAttribute("cy", -frame.arousal);
    }
    const words = isKnown
      ? `Valence ${signed(frame.valence)}, arousal ${signed(frame.arousal)}`
      : "No estimate";
    this.canvas.setAttribute("aria-label", `Circumplex of affect. ${words}`);
  }
}

function field() {
  const line = (x1, y1, x2, y2) => svg("line", { class: "axis", x1, y1, x2, y2 });
  const words = (text, x, y, anchor, name = "") =>
    svg("text", { x, y, "text-anchor": anchor, "class": name }, text);
  return [
    svg("rect", { class: "field", x: -1, y: -1, width: 2, height: 2, rx: 0.04 }),
    svg("circle", { class: "ring", r: 1 }),
    line(-1, 0, 1, 0),
    line(0, -1, 0, 1),
    svg("circle", { class: "neutral", r: NEUTRAL }),
    words("Valence", 0.97, -0.035, "end"),
    words("Arousal", -0.035, -0.91, "end"),
    words("neutral", 0.05, 0.285, "start", "place"),
    ...WORDS.flatMap(([text, valence, arousal, side]) => [
      svg("circle", { class: "tick", cx: valence, cy: -arousal, r: 0.014 }),
      words(text, valence + side * ASIDE, 0.022 - arousal, side > 0 ? "start" : "end", "place"),
    ]),
    ...QUARTERS.map(([text, x, y, anchor]) => words(text, x, y, anchor, "quarter")),
  ];
}

function another({ valence, arousal, colour }) {
  const point = svg("circle", { class: "point", cx: valence, cy: -arousal, r: 0.04 });
  point.style.fill = colour;
  return point;
}

function trailTo(frames, index) {
  const since = frames[index].time_s - TRAIL_S;
  const points = [];
  for (let at = index; at >= 0 && frames[at].time_s >= since; at -= 1) {
    if (isNumber(frames[at].valence) && isNumber(frames[at].arousal)) points.push([frames[at].valence, -frames[at].arousal]);
  }
  const step = Math.max(1, Math.ceil(points.length / TRAIL_POINTS));
  return points.filter((_, at) => at % step === 0);
}

/** The trail, newest first, fading with its age. */
function segments(points) {
  return points.slice(1).map(([x, y], index) => {
    const [x1, y1] = points[index];
    const opacity = (1 - (index + 1) / points.length) ** 1.5;
    return svg("line", { class: "trail", x1, y1, x2: x, y2: y, "stroke-opacity": opacity.toFixed(3) });
  });
}
