/** Camera and microphone: opened, read frame by frame, and closed. @module */

import { Problem } from "./client/countenance.js";
import { el } from "./dom.js";

const LONGEST_SIDE = 640;
const QUALITY = 0.82;
const STALE_MS = 250;
const KEPT = 3; // pictures: two that are on their way, and the one that is being taken
const SAMPLE_HZ = 25;

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

/**
 * A stream that stands for a camera where there is none: a photograph that sways.
 * @param {string} source Address of the photograph. @returns {Promise<MediaStream>}
 */
export async function openSample(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = el("canvas", { width: 640, height: 480 });
  const context = canvas.getContext("2d");
  const scale = 1.3 * Math.max(canvas.width / image.width, canvas.height / image.height);
  const began = performance.now();
  const draw = () => {
    const time = (performance.now() - began) / 1000;
    context.setTransform(1, 0, 0, 1, canvas.width / 2, canvas.height / 2);
    context.rotate(0.1 * Math.sin(time * 1.1));
    context.scale(scale, scale);
    context.translate(24 * Math.sin(time * 0.9), 14 * Math.sin(time * 1.7) + image.height * 0.12);
    context.drawImage(image, -image.width / 2, -image.height / 2);
  };
  draw();
  const stream = canvas.captureStream(SAMPLE_HZ);
  const timer = setInterval(() => {
    draw();
    if (stream.getTracks().every((track) => track.readyState === "ended")) clearInterval(timer);
  }, 1000 / SAMPLE_HZ);
  return stream;
}

/** Encodes what a video shows now, no larger than the networks can use. */
export class FrameGrabber {
  #video;
  #canvases = Array.from({ length: KEPT }, () => el("canvas"));

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  /**
   * The next picture as JPEG, and as it was drawn; the latter holds for the two pictures after it.
   * @returns {Promise<{blob: Blob, picture: HTMLCanvasElement}>}
   */
  async next() {
    await newPicture(this.#video);
    const { videoWidth, videoHeight } = this.#video;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(videoWidth, videoHeight));
    const picture = this.#canvases.shift();
    this.#canvases.push(picture);
    picture.width = Math.round(videoWidth * scale);
    picture.height = Math.round(videoHeight * scale);
    picture.getContext("2d").drawImage(this.#video, 0, 0, picture.width, picture.height);
    const blob = await new Promise((done) => picture.toBlob(done, "image/jpeg", QUALITY));
    if (!blob) throw new Problem({ title: "The camera gives no pictures" });
    return { blob, picture };
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
