/** Camera and microphone: opened, read frame by frame, and closed. @module */

import { Problem } from "./client/countenance.js";
import { el } from "./dom.js";

const LONGEST_SIDE = 640;
const QUALITY = 0.82;
const STALE_MS = 250;

const REFUSALS = {
  NotAllowedError: [
    "The browser did not give the camera",
    "Allow it for this page, beside the address or in the system's settings, and start again.",
  ],
  NotFoundError: ["There is no camera", "Connect one and start again."],
  NotReadableError: ["The camera is busy", "Another program may be using it."],
  OverconstrainedError: ["That camera is gone", "Choose another one."],
};

/**
 * The camera's stream, with the microphone's where `sound` is wanted.
 * @param {{deviceId?: string, sound?: boolean}} wanted @returns {Promise<MediaStream>}
 * Rejects with a {@link Problem} that says what to do.
 */
export async function openCamera({ deviceId, sound = false } = {}) {
  if (!navigator.mediaDevices) throw insecure();
  const size = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
  const audio = sound && { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { ...size, ...which }, audio });
  } catch (error) {
    const [title, detail] = REFUSALS[error.name] ?? ["The camera cannot be opened", error.message];
    throw new Problem({ title, detail });
  }
}

/** Stop camera and microphone. @param {MediaStream | null | undefined} stream */
export function closeCamera(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** Show a stream, and wait for its first picture. @param {HTMLVideoElement} video */
export async function showStream(video, stream) {
  video.srcObject = stream;
  await video.play();
}

/** The cameras there are, by id and name; names are known once one was opened. */
export async function listCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput");
}

/** Encodes what a video shows now, no larger than the networks can use. */
export class FrameGrabber {
  /** Holds the newest picture until the next one is asked for. */
  canvas = el("canvas");
  #video;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  /** The next picture as JPEG. @returns {Promise<Blob>} */
  async next() {
    await newPicture(this.#video);
    const { videoWidth, videoHeight } = this.#video;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(videoWidth, videoHeight));
    const width = (this.canvas.width = Math.round(videoWidth * scale));
    const height = (this.canvas.height = Math.round(videoHeight * scale));
    this.canvas.getContext("2d").drawImage(this.#video, 0, 0, width, height);
    const blob = await new Promise((done) => this.canvas.toBlob(done, "image/jpeg", QUALITY));
    if (!blob) throw new Problem({ title: "The camera gives no pictures" });
    return blob;
  }
}

/** Wait for a picture that was not shown before; a camera that hangs is not waited for for ever. */
function newPicture(video) {
  if (!video.requestVideoFrameCallback) return new Promise(requestAnimationFrame);
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, STALE_MS);
    video.requestVideoFrameCallback(() => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}

function insecure() {
  return new Problem({
    title: "The camera needs https here",
    detail: "Browsers give cameras to pages of https addresses and of localhost only. " +
      "Open this page through one of them.",
  });
}
