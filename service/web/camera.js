/** The view of the camera: faces followed live, and what the connection does. @module */

import {
  FrameGrabber, closeCamera, listCameras, openCamera, openSample, showStream,
} from "./capture.js";
import { Problem } from "./client/countenance.js";
import { clock, partsOf, save } from "./dom.js";
import { drawFace } from "./draw.js";
import { Glide } from "./glide.js";
import { LineWords, logLine, sessionName } from "./line.js";
import { MeasuredPicture } from "./measured.js";
import { clearNotice, showNotice } from "./notice.js";
import { Overlay } from "./overlay.js";
import { Pace } from "./pace.js";
import { Recording } from "./recording.js";
import { showPace, showStatus, showTracks } from "./readout.js";
import { askForKey, service } from "./service.js";

const FIGURES_MS = 250;
const SETTLED_MS = 300; // after a reply; then the landmarks are where they are to be
const SAMPLE = "web/sample/portrait.jpg";

/** Make the view work. @param {HTMLElement} view */
export function mountCamera(view) {
  const camera = new Camera(view);
  return { leave: () => camera.stop() };
}

class Camera {
  constructor(view) {
    this.parts = partsOf(view);
    this.live = this.reply = this.stream = null;
    this.repliedAt = 0;
    this.recording = new Recording();
    this.measured = new MeasuredPicture();
    const { video, overlay, start, stop, cut, mirror, smooth, faces, device } = this.parts;
    this.overlay = new Overlay(overlay, video, (...canvas) => this.paint(...canvas));
    start.addEventListener("click", () => this.start());
    this.parts.sample.addEventListener("click", () => this.start(true));
    this.parts.keep.addEventListener("click", () => this.saveRecording());
    this.parts.shows.addEventListener("change", () => this.draw());
    stop.addEventListener("click", () => this.stop());
    cut.addEventListener("click", () => this.live?.cut());
    mirror.addEventListener("change", () => this.setMirror());
    smooth.addEventListener("change", () => this.live?.setOptions(this.options()));
    faces.addEventListener("change", () => this.live?.setOptions(this.options()));
    device.addEventListener("change", () => this.switchCamera(device.value));
    addEventListener("online", () => this.live?.hurry());
    this.setMirror();
  }

  options() {
    const { smooth, faces } = this.parts;
    return { maxFaces: Number(faces.value), smoothing: smooth.checked };
  }

  /** Open the camera, or what stands for it, and a new session; follow until either ends. */
  async start(isSample = false) {
    this.isSample = isSample;
    const { notice, empty, live, busy, log, status } = this.parts;
    clearNotice(notice);
    empty.hidden = true;
    live.hidden = busy.hidden = false;
    log.replaceChildren();
    this.parts.recorded.hidden = true;
    showStatus(status, "connecting");
    const run = (this.live = this.connect(sessionName("camera")));
    try {
      await this.openCamera();
      if (this.live !== run) return;
      run.open();
      await this.follow(run);
    } catch (error) {
      if (this.live === run) this.fail(error);
    }
  }

  connect(name) {
    this.name = this.parts.session.textContent = name;
    this.words = new LineWords();
    this.pace = new Pace();
    this.glide = new Glide();
    this.recording = new Recording();
    this.reply = null;
    const live = service.trackLive(name, this.options());
    live.addEventListener("state", ({ detail }) => this.changed(live, detail));
    live.addEventListener("refusal", ({ detail }) => logLine(this.parts.log, detail.error?.detail));
    return live;
  }

  async openCamera(deviceId) {
    const { video, device } = this.parts;
    closeCamera(this.stream);
    this.stream = this.isSample ? await openSample(SAMPLE) : await openCamera({ deviceId });
    await showStream(video, this.stream);
    if (this.isSample) return;
    const cameras = await listCameras();
    const items = cameras.map((item) => new Option(item.label || "Camera", item.deviceId));
    device.replaceChildren(...items);
    device.value = this.stream.getVideoTracks()[0].getSettings().deviceId ?? "";
    this.parts["device-pick"].hidden = cameras.length < 2;
  }

  async switchCamera(deviceId) {
    try {
      await this.openCamera(deviceId);
    } catch (error) {
      showNotice(this.parts.notice, error);
    }
  }

  /** Send frame after frame, two on their way at once, until this run ends. */
  async follow(run) {
    const grabber = new FrameGrabber(this.parts.video);
    const began = performance.now();
    const figures = setInterval(() => showPace(this.parts, this.pace), FIGURES_MS);
    this.animate(run);
    try {
      while (this.live === run) {
        await run.whenFree();
        const { blob, picture } = await grabber.next();
        const sentAt = performance.now();
        const timeS = (sentAt - began) / 1000;
        const take = (reply) => this.live === run && this.take(reply, sentAt, timeS, picture);
        run.send(blob, timeS).then(take, () => {}); // a closed session ends the wait above
      }
    } finally {
      clearInterval(figures);
    }
  }

  take(reply, sentAt, timeS, picture) {
    const { busy, log, step, status, tracks } = this.parts;
    if (!reply?.faces) {
      this.pace.unanswered += 1;
      if (reply?.error) logLine(log, reply.error.detail || reply.error.title);
      return;
    }
    busy.hidden = true;
    this.pace.answered(sentAt);
    this.reply = reply;
    this.recording.add(reply, timeS);
    this.repliedAt = performance.now();
    this.measured.keep(picture);
    this.draw();
    logLine(log, this.words.answered(reply));
    for (const note of reply.status === "reset" ? reply.notes : []) logLine(log, note);
    step.textContent = String(reply.step);
    showStatus(status, reply.status);
    showTracks(tracks, reply.faces);
  }

  changed(live, detail) {
    if (this.live !== live) return;
    logLine(this.parts.log, this.words.changed(detail));
    if (detail.state === "connecting" || detail.state === "waiting") {
      showStatus(this.parts.status, detail.state);
      this.draw();
    }
  }

  /** Draw at the display's rate, while something moves, for as long as this run lasts. */
  animate(run) {
    if (this.live !== run) return;
    const moves = performance.now() - this.repliedAt < SETTLED_MS && !this.showsMeasured();
    if (moves) this.draw();
    requestAnimationFrame(() => this.animate(run));
  }

  draw() {
    this.overlay.draw(this.reply ? this.measured.canvas : undefined);
  }

  paint(context, place, unit) {
    if (!this.reply || this.live?.state !== "open") return;
    const asMeasured = this.showsMeasured();
    if (asMeasured) this.measured.paint(context, place);
    const faces = asMeasured ? this.reply.faces : this.glide.step(this.reply.faces);
    for (const face of faces) {
      const label = faces.length > 1 ? String(face.track_id) : "";
      const look = { landmarks: true, box: true, unit: unit * 1.1, label };
      drawFace(context, face, place, { ...look, dashed: face.status === "lost" });
    }
  }

  /** Whether the picture that was measured is shown: points lie on it, not behind it. */
  showsMeasured() {
    return this.parts.shows.value === "measured";
  }

  setMirror() {
    const { mirror, video } = this.parts;
    video.classList.toggle("mirrored", mirror.checked);
    this.overlay.mirrored = mirror.checked;
    this.draw();
  }

  /** End the session: the camera is closed, and the service forgets what it kept. */
  stop() {
    const { live, name } = this;
    this.live = null;
    closeCamera(this.stream);
    this.stream = this.parts.video.srcObject = null;
    this.parts.live.hidden = true;
    this.parts.empty.hidden = false;
    this.offerRecording();
    live?.close();
    if (!live || !this.pace.hasAnswers) return;
    service.end("track", name).catch(() => {}); // it is forgotten by itself, later
  }

  /** What was measured stays, to be kept as a table, until the next start. */
  offerRecording() {
    const { recorded, about } = this.parts;
    const { frames, seconds, isFull, hasRows } = this.recording;
    recorded.hidden = !hasRows;
    const cut = isFull ? "; the last of them do not fit into the table" : "";
    about.textContent = `Measured: ${frames} frames in ${clock(seconds)}${cut}.`;
  }

  saveRecording() {
    save(this.recording.toCsv(), `${this.name}.csv`);
  }

  async fail(error) {
    this.stop();
    if (error instanceof Problem && error.status === 401 && (await askForKey(error))) {
      this.start(this.isSample);
      return;
    }
    showNotice(this.parts.notice, error, () => this.start(this.isSample));
  }
}
