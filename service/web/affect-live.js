/** Affect as it happens: the camera's frames and the microphone's sound over one session. @module */

import { closeCamera, openCamera, showStream } from "./capture.js";
import { LiveRun } from "./live-run.js";
import { Microphone } from "./microphone.js";

/** A live session shown on the board of `view`, until it is stopped. */
export class LiveSource {
  size;
  model;
  /** The picture that the newest reply is about, shown in the live one's place. */
  measured = null;
  #view;
  #run;
  #stream = null;
  #microphone = null;
  #news = "";

  /** @param {any} view the view of affect */
  constructor(view) {
    this.#view = view;
    this.#run = new LiveRun("affect", "affect", {}, {
      answered: (reply, _, news) => this.#answered(reply, news),
      changed: (_, news) => news && view.tell("bad", news),
      refused: ({ title, detail }) => (this.#news = [title, detail].filter(Boolean).join(": ")),
    });
    this.name = this.#run.name;
  }

  get running() {
    return this.#run.running;
  }

  /** Send frame after frame and show the answers; rejects with a Problem that ended it. */
  async run() {
    const { video } = this.#view.parts;
    this.#view.showWork("Waiting for the camera", "Connecting", true);
    video.muted = true;
    video.controls = false;
    const hasSound = await this.#openDevices();
    if (!this.running) return;
    await showStream(video, this.#stream);
    const began = performance.now();
    if (hasSound) await this.#listen(began);
    await this.#run.follow(video, began);
  }

  /** End the session; the camera is closed and the service forgets what it kept. */
  stop() {
    if (!this.running) return;
    const { video, stage } = this.#view.parts;
    this.#run.stop();
    this.#microphone?.close();
    closeCamera(this.#stream);
    video.srcObject = null;
    stage.dataset.words = "The camera is closed";
    this.#view.board.finish();
    this.#view.rest("watch", "Stopped");
    this.measured = null;
  }

  cut() {
    this.#run.live.cut();
  }

  /** While it runs the newest frame is shown; afterwards any. */
  seek(timeS) {
    if (!this.running) this.#view.board.showTime(timeS);
  }

  /** Whether there is sound: without a microphone the face alone is looked at. */
  async #openDevices() {
    try {
      this.#stream = await openCamera({ sound: true });
    } catch {
      this.#stream = await openCamera();
    }
    const hasSound = this.#stream.getAudioTracks().length > 0;
    if (!hasSound) this.#news = "No microphone: face alone";
    if (!this.running) closeCamera(this.#stream);
    return hasSound;
  }

  async #listen(began) {
    this.#microphone = new Microphone();
    await this.#microphone.open(this.#stream, (samples, startMs) => {
      const timeS = (startMs - began) / 1000;
      if (timeS >= 0) this.#run.live.sendSound(samples, timeS);
    });
  }

  #answered(reply, news) {
    const { measured, pace } = this.#run;
    const { line, about } = this.#view.parts;
    this.measured = measured;
    this.size = measured.canvas;
    this.model = reply.model;
    this.#news = news ?? this.#news;
    this.#view.add(reply, true);
    this.#view.tell("good", "Live");
    const { fps, latencyMs } = pace.now();
    const facts = [`${fps.toFixed(1)} frames a second`, `${(latencyMs ?? 0).toFixed(0)} ms`];
    if (reply.step) facts.push(`step ${reply.step}`);
    line.textContent = [...facts, this.name].join(" · ");
    about.textContent = this.#news;
  }
}
