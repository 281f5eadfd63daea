/** A timeline of valence and arousal as a table and as a drawing, to keep. @module */

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

/** One row a frame (text/csv). @param {any[]} frames @param {any} model @returns {Blob} */
export function toCsv(frames, model) {
  const lines = [COLUMNS, ...frames.map((frame, at) => rowOf(frame.frame ?? at + 1, frame, model))].map((row) =>
    row.map((cell) => cell ?? "").join(","),
  );
  return new Blob([lines.join("\n") + "\n"], { type: "text/csv" });
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
  const parts = [
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="22" font-weight="600">${escape(title)}</text>`,
    ...[-1, -0.5, 0, 0.5, 1].map((value) => rule(y(value), value)),
    ...ticks(first, last).map((time) => tick(x(time), time)),
    ...LINES.map(([name, , colour]) => curve(frames, name, colour, x, y)),
    ...LINES.map(([, words, colour], index) => legend(words, colour, index)),
  ];
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ` +
    `width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">`;
  return new Blob([head, ...parts, "</svg>\n"], { type: "image/svg+xml" });
}

function rule(y, value) {
  return `<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="${value === 0 ? "#98a2a9" : "#e2e6e9"}"/>` +
    `<text x="${LEFT - 8}" y="${y + 4}" text-anchor="end" fill="#5b666e">${value}</text>`;
}

function tick(x, time) {
  return `<text x="${x.toFixed(1)}" y="${HEIGHT - 12}" text-anchor="middle" fill="#5b666e">${time} s</text>`;
}

function ticks(first, last) {
  const step = [0.5, 1, 2, 5, 10, 30, 60, 300].find((size) => (last - first) / size <= 10) ?? 600;
  const count = Math.floor((last - first) / step) + 1;
  return Array.from({ length: count }, (_, index) => Math.ceil(first / step) * step + index * step)
    .filter((time) => time <= last);
}

/** One line; it is broken where there is no estimate. */
function curve(frames, name, colour, x, y) {
  let isOn = false;
  const path = frames.map((frame) => {
    if (frame[name] === null) {
      isOn = false;
      return "";
    }
    const to = `${isOn ? "L" : "M"}${x(frame.time_s).toFixed(1)} ${y(frame[name]).toFixed(1)}`;
    isOn = true;
    return to;
  });
  return `<path d="${path.join("")}" fill="none" stroke="${colour}" stroke-width="1.8"/>`;
}

function legend(words, colour, index) {
  const x = WIDTH - RIGHT - 170 + index * 90;
  return `<path d="M${x} 18h14" stroke="${colour}" stroke-width="3"/><text x="${x + 20}" y="22">${words}</text>`;
}

function escape(text) {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
