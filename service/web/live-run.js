/** A live session that a video's pictures go to: its answers, its pace, and its connection. @module */

import { FrameGrabber } from "./capture.js";
import { MeasuredPicture } from "./overlay.js";
import { Pace } from "./pace.js";
import { service } from "./service.js";

/**
 * Sends frame after frame, two on their way at once, until it is stopped. While it runs it tells
 * `answered(reply, timeS, news)`, `refused(error)` of what could not be used, and
 * `changed(state, news)` of the connection; `news` are words for people, or null.
 */
export class LiveRun {
  running = true;
  pace = new Pace();
  /** The picture that the newest reply is about. */
  measured = new MeasuredPicture();
  #kind;
  #hear;
  #lostAt = 0;
  #lastStep = 0;
  #hasBegun = false;

  /** @param {"track" | "affect"} kind @param {string} name @param {object} options @param {any} hear */
  constructor(kind, name, options, hear) {
    this.#kind = kind;
    this.#hear = hear;
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    this.name = `${name}-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    const open = kind === "track" ? service.trackLive : service.affectLive;
    this.live = open.call(service, this.name, options);
    this.live.addEventListener("state", ({ detail }) => this.#changed(detail));
    this.live.addEventListener("refusal", ({ detail }) => hear.refused(detail.error ?? detail));
  }

  /** Follow the video; rejects with the Problem that ends the session. */
  async follow(video, began = performance.now()) {
    const grabber = new FrameGrabber(video);
    this.live.open();
    while (this.running) {
      await this.live.whenFree();
      const { blob, picture } = await grabber.next();
      const sentAt = performance.now();
      const timeS = (sentAt - began) / 1000;
      const take = (reply) => this.running && this.#take(reply, sentAt, timeS, picture);
      this.live.send(blob, timeS).then(take, () => {}); // a closed session ends the wait above
    }
  }

  /** End the session; the service forgets what it kept. */
  stop() {
    if (!this.running) return;
    this.running = false;
    this.live.close();
    if (!this.pace.hasAnswers) return;
    service.end(this.#kind, this.name).catch(() => {}); // it is forgotten by itself, later
  }

  #take(reply, sentAt, timeS, picture) {
    if (!reply || reply.status === "error" || reply.status === "dropped") {
      this.pace.unanswered += 1;
      if (reply?.error) this.#hear.refused(reply.error);
      return;
    }
    this.pace.answered(sentAt);
    this.measured.keep(picture);
    this.#hear.answered(reply, timeS, this.#howItGoes(reply));
  }

  #changed({ state, waitMs = 0, problem }) {
    if (!this.running) return;
    let news = state === "closed" && problem ? problem.title : null;
    if (state === "waiting") {
      this.#lostAt ||= performance.now();
      const why = problem && problem.slug !== "unreachable" ? `${problem.title}. ` : "";
      news = `${why}Connection lost, trying again in ${(waitMs / 1000).toFixed(1)} s`;
    }
    this.#hear.changed(state, news);
  }

  #howItGoes({ step, status }) {
    const [lostAt, before] = [this.#lostAt, this.#lastStep];
    this.#lostAt = 0;
    if (step) this.#lastStep = step;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      return "The session began";
    }
    if (!lostAt) return null;
    const isNew = status === "reset" || step <= before;
    const how = isNew ? "the session started anew" : `the session went on at step ${step}`;
    return `Back after ${((performance.now() - lostAt) / 1000).toFixed(1)} s, ${how}`;
  }
}
