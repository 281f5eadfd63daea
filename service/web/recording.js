/** What a live session has measured, kept until the next one begins, as a table. @module */

import { csv } from "./dom.js";

const POINTS = 68;
const MOST_ROWS = 90_000; // an hour of one face
const RADIANS = Math.PI / 180;

// As POST /track names them with `Accept: text/csv`.
const COLUMNS = [
  "frame", "face_id", "timestamp", "confidence", "success",
  "pose_Rx", "pose_Ry", "pose_Rz",
  ...numbered("x"), ...numbered("y"),
  "box_x1", "box_y1", "box_x2", "box_y2", "quality", "status",
];

/** Rows of faces, frame by frame. */
export class Recording {
  frames = 0;
  /** Whether rows had to be left out at the end. */
  isFull = false;
  #rows = [];
  #firstS = null;
  #lastS = 0;

  /** Add one reply and the time of its frame, in seconds. */
  add(reply, timeS) {
    this.#firstS ??= timeS;
    this.#lastS = timeS;
    if (this.#rows.length >= MOST_ROWS) this.isFull = true;
    else for (const face of reply.faces) this.#rows.push(rowOf(this.frames + 1, timeS - this.#firstS, face));
    this.frames += 1;
  }

  /** Seconds from the first frame to the last. */
  get seconds() {
    return this.#lastS - (this.#firstS ?? 0);
  }

  get hasRows() {
    return this.#rows.length > 0;
  }

  /** One row a face and frame. */
  toCsv() {
    return csv([COLUMNS, ...this.#rows]);
  }
}

function rowOf(frame, timeS, face) {
  const { box, landmarks, pose } = face;
  const isSeen = landmarks !== null && face.status !== "lost";
  const angles = pose ? [pose.pitch_deg, pose.yaw_deg, pose.roll_deg] : [null, null, null];
  return [
    frame, face.track_id, timeS.toFixed(3), face.face_probability, Number(isSeen),
    ...angles.map((angle) => angle && (angle * RADIANS).toFixed(4)),
    ...axis(landmarks, 0), ...axis(landmarks, 1),
    ...(box ?? ["", "", "", ""]), face.quality, face.status,
  ];
}

function axis(landmarks, index) {
  return landmarks ? landmarks.map((point) => point[index]) : new Array(POINTS).fill("");
}

function numbered(name) {
  return Array.from({ length: POINTS }, (_, index) => `${name}_${index}`);
}
