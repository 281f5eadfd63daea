/**
 * The service from JavaScript, in browsers: pictures, clips, and live sessions.
 *
 *     const service = new Countenance({ url: "https://faces.example", key: "cnt_..." });
 *     const { faces } = await service.align(file);
 *     const live = service.trackLive("camera-1");
 *     live.open();
 *     const reply = await live.send(jpeg, seconds);
 * @module
 */

import { LiveSession, inSnakeCase } from "./live.js";
import { Problem } from "./problem.js";

export { LiveSession, Problem };

/** @typedef {import("./countenance.d.ts").AlignOptions} AlignOptions */
/** @typedef {import("./countenance.d.ts").AffectOptions} AffectOptions */
/** @typedef {import("./countenance.d.ts").TrackOptions} TrackOptions */
/** @typedef {import("./countenance.d.ts").TrackLiveOptions} TrackLiveOptions */
/** @typedef {import("./countenance.d.ts").AffectLiveOptions} AffectLiveOptions */

/** Asks one service; failures are thrown as {@link Problem}. */
export class Countenance {
  #base;
  #key;
  #WebSocket;

  /**
   * @param {{url?: string, key?: string | null | (() => string | null),
   *           WebSocket?: typeof WebSocket}} [settings] `url` is where the service is, by default
   *   where the page came from; `key` an API key, or what returns it; `WebSocket` what opens
   *   sockets where nothing else does, as on Node.js 20.
   */
  constructor({ url = "", key = null, WebSocket = globalThis.WebSocket } = {}) {
    this.#WebSocket = WebSocket;
    this.#base = new URL(url || ".", globalThis.document?.baseURI);
    this.#key = typeof key === "function" ? key : () => key;
  }

  /** The faces of a picture. @param {Blob} picture @param {AlignOptions} [options] */
  async align(picture, options = {}) {
    return (await this.#postPicture(picture, "application/json", options)).json();
  }

  /**
   * The faces of a picture as `text/csv`, or drawn onto it as `image/png`.
   * @param {Blob} picture @param {string} mediaType @param {AlignOptions} [options]
   */
  async alignAs(picture, mediaType, options = {}) {
    return (await this.#postPicture(picture, mediaType, options)).blob();
  }

  /**
   * The faces of a clip as they are followed: `{type: "clip"}` first, then one `{type: "frame"}`
   * after the other, and `{type: "summary"}`.
   * @param {Blob} clip @param {TrackOptions} [options]
   */
  track(clip, options = {}) {
    return this.#postClip("track", clip, options);
  }

  /**
   * Valence and arousal of a clip, as they are found: the same lines.
   * @param {Blob} clip @param {AffectOptions} [options]
   */
  affect(clip, options = {}) {
    return this.#postClip("affect", clip, options);
  }

  /** @param {"track" | "affect"} path @param {Blob} clip @param {AffectOptions & TrackOptions} options */
  async *#postClip(path, clip, options) {
    const { signal, ...query } = options;
    const headers = { "Accept": "application/x-ndjson", "Content-Type": clip.type || "video/*" };
    const response = await this.#fetch(path, query, { method: "POST", body: clip, headers, signal });
    for await (const line of linesOf(response)) {
      const found = JSON.parse(line);
      if (found.type === "error") throw new Problem(found.error);
      yield found;
    }
  }

  /**
   * What every face of a photograph looks like.
   * @param {Blob} picture @param {AffectOptions} [options]
   */
  async affectPhoto(picture, { variant, minFacePx, minQuality, signal } = {}) {
    const headers = { "Accept": "application/json", "Content-Type": picture.type || "image/jpeg" };
    const request = { method: "POST", body: picture, headers, signal };
    return (await this.#fetch("affect", { variant, minFacePx, minQuality }, request)).json();
  }

  /**
   * A live session of face tracking, not yet open.
   * @param {string} session its name @param {TrackLiveOptions} [options]
   */
  trackLive(session, options = {}) {
    return this.#live("track", session, options);
  }

  /**
   * A live session of valence and arousal, not yet open.
   * @param {string} session its name @param {AffectLiveOptions} [options]
   */
  affectLive(session, options = {}) {
    return this.#live("affect", session, options);
  }

  /** Let the service forget a session. @param {"track" | "affect"} kind @param {string} session */
  async end(kind, session) {
    const request = { method: "DELETE", keepalive: true };
    await this.#fetch(`${kind}/${encodeURIComponent(session)}`, {}, request);
  }

  /** The models that are served, with their terms and figures. */
  async models() {
    return (await (await this.#fetch("models")).json()).models;
  }

  /** The device and the models, once requests can be answered; needs no key. */
  async ready() {
    return (await this.#fetch("health/ready")).json();
  }

  /** @param {Blob} picture @param {string} accept @param {AlignOptions} options */
  #postPicture(picture, accept, { include, boxes, signal, ...options }) {
    const corners = boxes?.map((box) => box.join(","));
    const query = { ...options, include: include?.join(","), boxes: corners };
    const body = new FormData();
    body.append("image", picture);
    const headers = { Accept: accept };
    return this.#fetch("align", query, { method: "POST", body, headers, signal });
  }

  #live(kind, session, options) {
    const url = this.#address(`${kind}/${encodeURIComponent(session)}`);
    url.protocol = url.protocol.replace("http", "ws");
    return new LiveSession(url.href, { key: this.#key, options, WebSocket: this.#WebSocket });
  }

  async #fetch(path, query = {}, request = {}) {
    const key = this.#key();
    const headers = { ...request.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    let response;
    try {
      response = await fetch(this.#address(path, query), { ...request, headers });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw Problem.unreachable();
    }
    if (!response.ok) throw await Problem.fromResponse(response);
    return response;
  }

  /** An address of the service; options that are undefined are left out, lists are repeated. */
  #address(path, query = {}) {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries(inSnakeCase(query))) {
      for (const item of [value ?? []].flat()) url.searchParams.append(name, item);
    }
    return url;
  }
}

/** The lines of a reply as they come. @param {Response} response */
async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? "")).split("\n");
      rest = done ? "" : lines.pop();
      yield* lines.filter(Boolean);
      if (done) return;
    }
  } catch (error) {
    throw error instanceof TypeError ? Problem.unreachable() : error;
  } finally {
    reader.cancel().catch(() => {});
  }
}
