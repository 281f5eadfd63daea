/** The view of the camera: faces followed live, and what the connection does. @module */

import { closeCamera, listCameras, openCamera, openSample, showStream } from "./capture.js";
import { Problem } from "./client/countenance.js";
import { clock, partsOf, save } from "./dom.js";
import { drawFace } from "./draw.js";
import { Glide } from "./glide.js";
import { LiveRun } from "./live-run.js";
import { clearNotice, showNotice } from "./notice.js";
import { Overlay } from "./overlay.js";
import { Recording } from "./recording.js";
import { logLine, showPace, showStatus, showTracks } from "./readout.js";
import { askForKey } from "./service.js";

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
    this.run = this.reply = this.stream = null;
    this.repliedAt = 0;
    this.recording = new Recording();
    const { video, overlay, start, stop, cut, mirror, smooth, faces, device } = this.parts;
    this.overlay = new Overlay(overlay, video, (...canvas) => this.paint(...canvas));
    start.addEventListener("click", () => this.start());
    this.parts.sample.addEventListener("click", () => this.start(true));
    this.parts.keep.addEventListener("click", () => this.saveRecording());
    this.parts.shows.addEventListener("change", () => this.draw());
    stop.addEventListener("click", () => this.stop());
    cut.addEventListener("click", () => this.run?.live.cut());
    mirror.addEventListener("change", () => this.setMirror());
    for (const part of [smooth, faces]) {
      part.addEventListener("change", () => this.run?.live.setOptions(this.options()));
    }
    device.addEventListener("change", () => this.switchCamera(device.value));
    addEventListener("online", () => this.run?.live.hurry());
    this.setMirror();
  }

  options() {
    const { smooth, faces } = this.parts;
    return { maxFaces: Number(faces.value), smoothing: smooth.checked };
  }

  /** Open the camera, or what stands for it, and a new session; follow until either ends. */
  async start(isSample = false) {
    this.isSample = isSample;
    const { notice, empty, live, busy, log, status, session, video } = this.parts;
    clearNotice(notice);
    empty.hidden = true;
    live.hidden = busy.hidden = false;
    log.replaceChildren();
    this.parts.recorded.hidden = true;
    showStatus(status, "connecting");
    this.glide = new Glide();
    this.recording = new Recording();
    this.reply = null;
    const run = (this.run = new LiveRun("track", "camera", this.options(), {
      answered: (...answer) => this.take(...answer),
      changed: (state, news) => this.changed(state, news),
      refused: ({ title, detail }) => logLine(log, detail || title),
    }));
    session.textContent = run.name;
    const figures = setInterval(() => showPace(this.parts, run.pace), FIGURES_MS);
    try {
      await this.openCamera();
      if (!run.running) return void closeCamera(this.stream);
      this.animate(run);
      await run.follow(video);
    } catch (error) {
      if (run.running) this.fail(error);
    } finally {
      clearInterval(figures);
    }
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

  take(reply, timeS, news) {
    const { busy, log, step, status, tracks } = this.parts;
    busy.hidden = true;
    this.reply = reply;
    this.recording.add(reply, timeS);
    this.repliedAt = performance.now();
    this.draw();
    logLine(log, news);
    for (const note of reply.status === "reset" ? reply.notes : []) logLine(log, note);
    step.textContent = String(reply.step);
    showStatus(status, reply.status);
    showTracks(tracks, reply.faces);
  }

  changed(state, news) {
    logLine(this.parts.log, news);
    if (state === "connecting" || state === "waiting") {
      showStatus(this.parts.status, state);
      this.draw();
    }
  }

  /** Draw at the display's rate, while something moves, for as long as this run lasts. */
  animate(run) {
    if (!run.running) return;
    const moves = performance.now() - this.repliedAt < SETTLED_MS && !this.showsMeasured();
    if (moves) this.draw();
    requestAnimationFrame(() => this.animate(run));
  }

  draw() {
    this.overlay.draw(this.reply ? this.run?.measured.canvas : undefined);
  }

  paint(context, place, unit) {
    if (!this.reply || this.run?.live.state !== "open") return;
    const asMeasured = this.showsMeasured();
    if (asMeasured) this.run.measured.paint(context, place);
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

  /** End the session: the camera is closed, and what was measured can be kept. */
  stop() {
    this.run?.stop();
    closeCamera(this.stream);
    this.stream = this.parts.video.srcObject = null;
    this.parts.live.hidden = true;
    this.parts.empty.hidden = false;
    this.offerRecording();
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
    save(this.recording.toCsv(), `${this.run.name}.csv`);
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
