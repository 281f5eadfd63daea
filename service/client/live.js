/**
 * A live session over a WebSocket: frames and sound in, one reply a frame, through lost connections.
 * @module
 */

import { Problem, isFinal, noSockets, wrongName } from "./problem.js";

const HEADER_BYTES = 9;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8000;
const CUT_MS = 2000; // long enough to be seen
const ANSWER_WITHIN_MS = 20000;
const MOST_BUFFERED_BYTES = 1 << 20;
/** Frames on their way at once: while one is measured, the next one travels. */
const AHEAD = 2;

/** @typedef {"idle" | "connecting" | "open" | "waiting" | "closed"} LiveState */

/**
 * Connects, and connects again with growing pauses when the connection is lost; the session's state
 * lies with the service, so it goes on where it was. It is open once the service has taken the name
 * and the options; a problem that connecting again cannot mend, such as options that do not fit,
 * closes it for good. Events: `state` (detail: `{state, waitMs, problem}`), and `refusal` (detail:
 * the service's body) for sound or a text message that could not be used.
 */
export class LiveSession extends EventTarget {
  /** @type {LiveState} */
  state = "idle";
  #url;
  #key;
  #options;
  #Socket;
  /** What the service said of a socket that it closes next. @type {Problem | null} */
  #told = null;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Frames that wait for their replies, oldest first; these come in the same order.
   *  @type {{resolve: (reply: any) => void, timer: any, settled?: Promise<any>}[]} */
  #asked = [];
  /** Why it is closed. */
  #problem = new Problem({ title: "The session is closed" });
  #failures = 0;
  #timer = 0;
  /** @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * @param {string} url Address of the session, `ws:` or `wss:`.
   * @param {{key?: () => string | null, options?: Record<string, unknown>,
   *           WebSocket?: typeof WebSocket}} [settings] `options` are told to the service before
   *   the first frame of every connection, by names such as `maxFaces`.
   */
  constructor(url, { key = () => null, options = {}, WebSocket = globalThis.WebSocket } = {}) {
    super();
    this.#url = url;
    this.#key = key;
    this.#options = options;
    this.#Socket = WebSocket;
  }

  /** Connect; does nothing where that has been done. What stands against it closes the session. */
  open() {
    if (this.state !== "idle") return;
    const problem = this.#Socket ? wrongName(this.#url) : noSockets();
    if (problem) this.close(problem);
    else this.#connect();
  }

  /**
   * Send one encoded frame and wait for its reply. Frames go in their order, up to two before the
   * first of them is answered; see {@link LiveSession.whenFree}. While there is no connection it
   * waits for one.
   * @param {Blob | ArrayBuffer} picture
   * @param {number} timeS The frame's time in seconds, on one clock for the whole session.
   * @returns {Promise<any>} The reply, or null where the connection was lost before it came.
   *   Rejects with a {@link Problem} when the session is closed, or was never opened.
   */
  send(picture, timeS) {
    const sent = this.#turn.then(() => this.#ask(picture, timeS));
    this.#turn = sent.catch(() => {});
    return sent.then(({ reply }) => reply);
  }

  /**
   * Wait until another frame may be sent: whoever sends what a camera shows takes the picture then.
   * @returns {Promise<void>} Rejects with a {@link Problem} when the session is closed.
   */
  async whenFree() {
    if (this.state === "idle") {
      throw new Problem({ title: "The session is not open", detail: "Call open() first." });
    }
    await this.whenOpen();
    while (this.#asked.length >= AHEAD) {
      await Promise.race(this.#asked.map(({ settled }) => settled));
      await this.whenOpen();
    }
  }

  /**
   * Send sound without waiting; it is left out while there is no connection or the line is full.
   * @param {Int16Array} samples Mono at 22 050 Hz. @param {number} timeS Time of the first one.
   * @returns {boolean} Whether it was sent.
   */
  sendSound(samples, timeS) {
    if (this.state !== "open" || !this.#socket) return false;
    if (this.#socket.bufferedAmount > MOST_BUFFERED_BYTES) return false;
    const body = new DataView(new ArrayBuffer(samples.length * 2));
    samples.forEach((sample, index) => body.setInt16(index * 2, sample, true));
    this.#socket.send(frameMessage("S", body.buffer, timeS));
    return true;
  }

  /**
   * Wait until there is a connection, and name and options are taken.
   * @returns {Promise<void>} Rejects with a {@link Problem} when the session is closed.
   */
  whenOpen() {
    if (this.state === "open") return Promise.resolve();
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.state === "open") resolve();
        else if (this.state === "closed") reject(this.#problem);
        else return;
        this.removeEventListener("state", look);
      };
      this.addEventListener("state", look);
      if (this.state === "closed") look();
    });
  }

  /** Let the next frame start the session anew. */
  reset() {
    if (this.state === "open") this.#socket?.send(JSON.stringify({ type: "reset" }));
  }

  /** Change the options and connect again with them; the session goes on. */
  setOptions(options) {
    this.#options = options;
    if (this.state === "open" || this.state === "connecting") this.#drop(0);
  }

  /** Lose the connection on purpose, as a failing network does; it comes back by itself. */
  cut() {
    if (this.state === "open") this.#drop(CUT_MS);
  }

  /** Connect now instead of at the end of the pause. */
  hurry() {
    if (this.state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Close for good. @param {Problem | null} [problem] Why, where it is not by wish. */
  close(problem = null) {
    if (this.state === "closed") return;
    clearTimeout(this.#timer);
    this.#problem = problem ?? this.#problem;
    const socket = this.#forgetSocket();
    socket?.close(1000);
    this.#enter("closed", { problem });
  }

  #connect() {
    const key = this.#key();
    const socket = new this.#Socket(this.#url, ["countenance", ...(key ? [`bearer.${key}`] : [])]);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#told = null;
    this.#enter("connecting");
    socket.onopen = () => {
      this.#timer = setTimeout(() => this.#drop(this.#pauseMs()), ANSWER_WITHIN_MS);
      // At most two frames are on their way: none of them needs to give way to a newer one.
      const options = { drop: false, ...inSnakeCase(this.#options) };
      socket.send(JSON.stringify({ ...options, type: "options", confirm: true }));
    };
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => this.#lost(event);
  }

  /** Send a frame when it may be sent; its reply comes wrapped, so that nobody waits for it here. */
  async #ask(picture, timeS) {
    await this.whenFree();
    const bytes = picture instanceof Blob ? await picture.arrayBuffer() : picture;
    if (this.state !== "open" || !this.#socket) return { reply: null };
    this.#socket.send(frameMessage("F", bytes, timeS));
    const timer = setTimeout(() => this.#drop(this.#pauseMs()), ANSWER_WITHIN_MS);
    const settled = new Promise((resolve) => this.#asked.push({ resolve, timer }));
    this.#asked.at(-1).settled = settled;
    return { reply: settled };
  }

  #receive(reply) {
    if (reply.type === "options") {
      clearTimeout(this.#timer);
      this.#enter("open");
      return;
    }
    if (!answersFrame(reply)) {
      this.#refused(reply);
      return;
    }
    this.#failures = 0;
    const asked = this.#asked.shift();
    if (asked) settle(asked, reply);
  }

  #refused(reply) {
    if (reply.of === "address") this.#told = new Problem(reply.error);
    else this.dispatchEvent(new CustomEvent("refusal", { detail: reply }));
    // Before it is open nothing but its options was sent.
    if (reply.of === "text" && this.state === "connecting") this.close(new Problem(reply.error));
  }

  #lost({ code, reason }) {
    const problem = this.#told ?? Problem.fromClose(code, reason);
    if (isFinal(code)) {
      this.close(problem);
      return;
    }
    this.#forgetSocket();
    this.#wait(this.#pauseMs(), problem);
  }

  #drop(waitMs) {
    const socket = this.#forgetSocket();
    socket?.close();
    this.#wait(waitMs, null);
  }

  #wait(waitMs, problem) {
    this.#failures += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), waitMs);
    this.#enter("waiting", { waitMs, problem });
  }

  /** The next pause: doubled with every failure, and spread so that not all come back at once. */
  #pauseMs() {
    const full = Math.min(FIRST_WAIT_MS * 2 ** this.#failures, LONGEST_WAIT_MS);
    return full * (0.5 + Math.random() / 2);
  }

  #forgetSocket() {
    const socket = this.#socket;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    this.#socket = null;
    for (const asked of this.#asked.splice(0)) settle(asked, null);
    return socket;
  }

  #enter(state, detail = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }
}

function settle({ resolve, timer }, reply) {
  clearTimeout(timer);
  resolve(reply);
}

/**
 * A binary message: kind, time as little-endian float64, body.
 * @param {"F" | "S"} kind @param {ArrayBuffer} body @param {number} timeS
 */
function frameMessage(kind, body, timeS) {
  const message = new Uint8Array(HEADER_BYTES + body.byteLength);
  message[0] = kind.charCodeAt(0);
  new DataView(message.buffer).setFloat64(1, timeS, true);
  message.set(new Uint8Array(body), HEADER_BYTES);
  return message;
}

/** Options as the service names them: `maxFaces` is `max_faces`. */
export function inSnakeCase(options) {
  const named = ([name, value]) => [name.replace(/[A-Z]/g, (sign) => `_${sign.toLowerCase()}`), value];
  return Object.fromEntries(Object.entries(options).map(named));
}

/** Whether a reply answers a frame, and not a text message or sound. */
function answersFrame(reply) {
  return (reply.sequence ?? null) !== null;
}
