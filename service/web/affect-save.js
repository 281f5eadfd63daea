/** A timeline of valence and arousal as a table and as a drawing, to keep. @module */

import { csv, svg } from "./dom.js";

const WORDS = [
  "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
];
// As POST /affect names them with `Accept: text/csv`.
const COLUMNS = [
  "frame", "face_id", "timestamp", "confidence", "success", "valence", "arousal", "quadrant",
  ...WORDS, "estimate_confidence", "gate", "face", "voice", "status",
  "box_x1", "box_y1", "box_x2", "box_y2", "model", "model_version",
];
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [900, 320, 52, 16, 40, 36];
const LINES = [["valence", "Valence", "#0d7d76"], ["arousal", "Arousal", "#c2551b"]];

/** A row for each face of a frame. @param {any[]} frames @param {any} model @returns {Blob} */
export function toCsv(frames, model) {
  return csv([COLUMNS, ...frames.flatMap((frame, at) => rowsOf(frame.frame ?? at + 1, frame, model))]);
}

function rowsOf(number, frame, model) {
  const others = (frame.others ?? []).map((other) => ({ time_s: frame.time_s, used: ["face"], ...other }));
  return [frame, ...others].map((one) => rowOf(number, one, model));
}

function rowOf(number, frame, model) {
  const { face, used = [] } = frame;
  return [
    number, face?.track_id ?? 0, frame.time_s, face?.face_probability ?? 0,
    Number(Boolean(face?.landmarks)),
    frame.valence, frame.arousal, frame.quadrant, ...WORDS.map((word) => frame.expressions?.[word]),
    frame.confidence, frame.gate,
    Number(used.includes("face")), Number(used.includes("voice")),
    face?.status, ...(face?.box ?? ["", "", "", ""]),
    model?.name, model?.version,
  ];
}

/** The timeline on white. @param {any[]} frames @param {string} title @returns {Blob} */
export function toSvg(frames, title) {
  const [first, last] = [frames[0].time_s, frames.at(-1).time_s];
  const x = (time) => LEFT + ((time - first) / Math.max(last - first, 1e-9)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((1 - value) / 2) * (HEIGHT - TOP - BOTTOM);
  const words = (text, at, options) => svg("text", { fill: "#5b666e", ...at, ...options }, String(text));
  const drawing = svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT,
      "font-family": "system-ui, sans-serif", "font-size": 12,
    },
    svg("rect", { width: WIDTH, height: HEIGHT, fill: "#fff" }),
    svg("text", { x: LEFT, y: 22, "font-weight": 600 }, title),
    ...[-1, -0.5, 0, 0.5, 1].flatMap((value) => [
      line(`M${LEFT} ${y(value)}H${WIDTH - RIGHT}`, value === 0 ? "#98a2a9" : "#e2e6e9"),
      words(value, { x: LEFT - 8, y: y(value) + 4 }, { "text-anchor": "end" }),
    ]),
    ...ticks(first, last).map((time) =>
      words(`${time} s`, { x: x(time).toFixed(1), y: HEIGHT - 12 }, { "text-anchor": "middle" })),
    ...LINES.flatMap(([name, label, colour], index) => {
      const left = WIDTH - RIGHT - 170 + index * 90;
      return [
        line(curve(frames, name, x, y), colour, 1.8),
        line(`M${left} 18h14`, colour, 3),
        svg("text", { x: left + 20, y: 22 }, label),
      ];
    }),
  );
  return new Blob([new XMLSerializer().serializeToString(drawing), "\n"], { type: "image/svg+xml" });
}

function line(path, colour, width = 1) {
  return svg("path", { d: path, fill: "none", stroke: colour, "stroke-width": width });
}

function ticks(first, last) {
  const step = [0.5, 1, 2, 5, 10, 30, 60, 300].find((size) => (last - first) / size <= 10) ?? 600;
  const count = Math.floor((last - first) / step) + 1;
  return Array.from({ length: count }, (_, index) => Math.ceil(first / step) * step + index * step)
    .filter((time) => time <= last);
}

/** The path of one figure; it is broken where there is no estimate. */
function curve(frames, name, x, y) {
  let draws = "M";
  return frames.map((frame) => {
    if (frame[name] === null) {
      draws = "M";
      return "";
    }
    const to = `${draws}${x(frame.time_s).toFixed(1)} ${y(frame[name]).toFixed(1)}`;
    draws = "L";
    return to;
  }).join("");
}
