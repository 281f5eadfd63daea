/** Affect as it happens: the camera's frames and the microphone's sound over one session. @module */

import { FrameGrabber, closeCamera, openCamera, showStream } from "./capture.js";
import { Problem } from "./client/countenance.js";
import { LineWords, sessionName } from "./line.js";
import { MeasuredPicture } from "./measured.js";
import { Microphone } from "./microphone.js";
import { Pace } from "./pace.js";
import { service } from "./service.js";

/** A live session shown on the board of `view`, until it is stopped. */
export class LiveSource {
  running = true;
  size;
  model;
  /** The picture that the newest reply is about, shown in the live one's place. */
  measured = null;
  #picture = new MeasuredPicture();
  #view;
  #pace = new Pace();
  #words = new LineWords();
  #live;
  #stream = null;
  #microphone = null;
  #news = "";

  /** @param {any} view the view of affect */
  constructor(view) {
    this.#view = view;
    this.name = sessionName("affect");
    this.#live = service.affectLive(this.name);
    this.#live.addEventListener("state", ({ detail }) => this.#changed(detail));
    this.#live.addEventListener("refusal", ({ detail }) => this.#refused(detail));
  }

  /** Send frame after frame and show the answers; rejects with a Problem that ended it. */
  async run() {
    const { video } = this.#view.parts;
    this.#view.showWork("Waiting for the camera");
    this.#view.tell("watch", "Connecting");
    this.#view.parts["scrub-row"].hidden = true;
    this.#view.parts["line-panel"].hidden = false;
    video.muted = true;
    video.controls = false;
    const hasSound = await this.#openDevices();
    if (!this.running) return;
    await showStream(video, this.#stream);
    const began = performance.now();
    if (hasSound) await this.#listen(began);
    this.#live.open();
    await this.#follow(began, new FrameGrabber(video));
  }

  /** End the session; the camera is closed and the service forgets what it kept. */
  stop() {
    if (!this.running) return;
    const { stop, video, busy, stage } = this.#view.parts;
    this.running = false;
    this.#live.close();
    this.#microphone?.close();
    closeCamera(this.#stream);
    video.srcObject = null;
    stage.dataset.words = "The camera is closed";
    this.#view.board.finish();
    this.#view.parts["line-panel"].hidden = busy.hidden = true;
    stop.textContent = "Close";
    this.#view.parts["scrub-row"].hidden = false;
    this.#view.tell("watch", "Stopped");
    this.measured = null;
    if (!this.#pace.hasAnswers) return;
    service.end("affect", this.name).catch(() => {}); // it is forgotten by itself, later
  }

  cut() {
    this.#live.cut();
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
      if (timeS >= 0) this.#live.sendSound(samples, timeS);
    });
  }

  async #follow(began, grabber) {
    while (this.running) {
      await this.#live.whenFree();
      const { blob, picture } = await grabber.next();
      const sentAt = performance.now();
      const reply = this.#live.send(blob, (sentAt - began) / 1000);
      reply.then((found) => this.running && this.#take(found, sentAt, picture), () => {});
    }
  }

  #take(reply, sentAt, picture) {
    const { step } = reply ?? {};
    if (!reply || reply.status === "error" || reply.status === "dropped") {
      this.#pace.unanswered += 1;
      if (reply?.error) this.#refused(reply);
      return;
    }
    this.#picture.keep(picture);
    this.size = this.#picture.canvas;
    this.model = reply.model;
    this.#pace.answered(sentAt);
    this.measured = this.#picture;
    this.#news = this.#words.answered(reply) ?? this.#news;
    this.#view.add(reply, true);
    const { fps, latencyMs } = this.#pace.now();
    this.#view.tell("good", "Live");
    const facts = [`${fps.toFixed(1)} frames a second`, `${(latencyMs ?? 0).toFixed(0)} ms`];
    if (step) facts.push(`step ${step}`);
    this.#view.parts.line.textContent = [...facts, this.name].join(" · ");
    this.#view.parts.about.textContent = this.#news;
  }

  #changed(detail) {
    const words = this.#words.changed(detail);
    if (this.running && words) this.#view.tell("bad", words);
  }

  #refused(body) {
    const problem = new Problem(body.error ?? body);
    this.#news = [problem.title, problem.detail].filter(Boolean).join(": ");
  }
}
