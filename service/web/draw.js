/** Faces drawn over a picture that is shown at any size: box, landmarks, head axes. @module */

/** @typedef {{box: number[], landmarks: number[][] | null,
 *             pose?: {pitch_deg: number, yaw_deg: number, roll_deg: number}}} DrawnFace */
/** @typedef {(point: number[]) => [number, number]} Place picture pixels to canvas pixels */
/** @typedef {{landmarks?: boolean, box?: boolean, pose?: boolean, label?: string, unit?: number,
 *             faint?: boolean, dashed?: boolean, colour?: string}} Look `unit` is the width of a thin
 *             line, `colour` the box's */

// First and last landmark of each contour, and whether it closes (the iBUG scheme of 68 points).
const CONTOURS = [
  [0, 16, false], [17, 21, false], [22, 26, false], [27, 30, false], [31, 35, false],
  [36, 41, true], [42, 47, true], [48, 59, true], [60, 67, true],
];
const NOSE_TIP = 30;
// The head's right, down and forward in the camera's axes (x right, y down, z away).
const AXES = [
  [[1, 0, 0], "#ff7a70"],
  [[0, 1, 0], "#7be08c"],
  [[0, 0, -1], "#7db4ff"],
];
const MINT = "#8ff5dd";
const SHADE = "rgb(6 12 14 / 55%)";

/** Draw one face. @param {CanvasRenderingContext2D} context @param {DrawnFace} face
 *  @param {Place} place @param {Look} look */
export function drawFace(context, face, place, look) {
  const unit = look.unit ?? 1;
  context.save();
  context.globalAlpha = look.faint ? 0.28 : 1;
  context.lineCap = context.lineJoin = "round";
  if (look.box) drawBox(context, face.box, place, unit, look);
  if (look.landmarks && face.landmarks) drawLandmarks(context, face, place, unit);
  if (look.pose && face.landmarks && face.pose) drawAxes(context, face, place, unit);
  if (look.label) drawLabel(context, face.box, place, unit, look.label);
  context.restore();
}

/** Corners of the box: what lies within stays free to be seen. */
function drawBox(context, box, place, unit, { dashed = false, colour = "#ffffff" }) {
  const [left, top, right, bottom] = placedBox(box, place);
  const arm = Math.min(right - left, bottom - top) * (dashed ? 0.5 : 0.18);
  const path = new Path2D();
  for (const [x, y, dx, dy] of [
    [left, top, 1, 1], [right, top, -1, 1], [right, bottom, -1, -1], [left, bottom, 1, -1],
  ]) {
    path.moveTo(x + dx * arm, y);
    path.lineTo(x, y);
    path.lineTo(x, y + dy * arm);
  }
  if (dashed) context.setLineDash([unit * 5, unit * 5]);
  stroke(context, path, colour, unit * 2);
  context.setLineDash([]);
}

function drawLandmarks(context, face, place, unit) {
  const points = face.landmarks.map(place);
  const lines = new Path2D();
  for (const [first, last, closes] of CONTOURS) {
    lines.moveTo(...points[first]);
    for (let index = first + 1; index <= last; index += 1) lines.lineTo(...points[index]);
    if (closes) lines.lineTo(...points[first]);
  }
  stroke(context, lines, "rgb(255 255 255 / 62%)", unit);
  const [left, , right] = placedBox(face.box, place);
  const radius = Math.min(Math.max((right - left) / 95, unit * 1.1), unit * 3);
  const dots = new Path2D();
  for (const [x, y] of points) {
    dots.moveTo(x + radius, y);
    dots.arc(x, y, radius, 0, 2 * Math.PI);
  }
  context.strokeStyle = SHADE;
  context.lineWidth = unit;
  context.stroke(dots);
  context.fillStyle = MINT;
  context.fill(dots);
}

function drawAxes(context, face, place, unit) {
  const nose = face.landmarks[NOSE_TIP];
  const length = Math.max(face.box[2] - face.box[0], face.box[3] - face.box[1]) * 0.42;
  const turn = rotation(face.pose);
  for (const [axis, colour] of AXES) {
    const [dx, dy] = turn.map((row) => row[0] * axis[0] + row[1] * axis[1] + row[2] * axis[2]);
    const path = new Path2D();
    path.moveTo(...place(nose));
    path.lineTo(...place([nose[0] + dx * length, nose[1] + dy * length]));
    stroke(context, path, colour, unit * 2.4);
  }
}

/** `Rx(pitch) Ry(yaw) Rz(roll)`, row by row. */
function rotation({ pitch_deg, yaw_deg, roll_deg }) {
  const [p, y, r] = [pitch_deg, yaw_deg, roll_deg].map((degrees) => (degrees * Math.PI) / 180);
  const [cp, sp, cy, sy, cr, sr] = [
    Math.cos(p), Math.sin(p), Math.cos(y), Math.sin(y), Math.cos(r), Math.sin(r),
  ];
  return [
    [cy * cr, -cy * sr, sy],
    [sp * sy * cr + cp * sr, -sp * sy * sr + cp * cr, -sp * cy],
    [-cp * sy * cr + sp * sr, cp * sy * sr + sp * cr, cp * cy],
  ];
}

function drawLabel(context, box, place, unit, label) {
  const [left, top, , bottom] = placedBox(box, place);
  const size = 13 * unit;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const width = context.measureText(label).width + size;
  const height = size * 1.65;
  const y = top - height - 4 * unit < 0 ? bottom + 4 * unit : top - height - 4 * unit;
  context.fillStyle = "rgb(6 12 14 / 78%)";
  context.beginPath();
  context.roundRect(left, y, width, height, 5 * unit);
  context.fill();
  context.fillStyle = "#ffffff";
  context.textBaseline = "middle";
  context.fillText(label, left + size / 2, y + height / 2);
}

function placedBox(box, place) {
  const [x1, y1] = place([box[0], box[1]]);
  const [x2, y2] = place([box[2], box[3]]);
  return [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
}

function stroke(context, path, colour, width) {
  context.strokeStyle = SHADE;
  context.lineWidth = width * 2;
  context.stroke(path);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke(path);
}
