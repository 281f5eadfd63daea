/**
 * What went wrong, in the service's own words: problem+json (RFC 9457) or a socket's close code.
 * @module
 */

export const URN = "urn:countenance:problem:";

/** What a socket's close reason means; the rest of a problem is not told there. */
export const CLOSE_TITLES = {
  "idle": "Nothing came for too long",
  "forwarded-without-keys": "Forwarded requests need API keys to be set up",
  "internal": "The service failed",
  "invalid-host": "The Host header is not one of this service's",
  "invalid-request": "The request does not fit the interface",
  "not-found": "There is nothing at this address",
  "origin-not-allowed": "Pages of this origin may not use the service",
  "overloaded": "Too many requests are in flight",
  "rate-limited": "This API key has asked too often",
  "replies-unread": "The replies are not read",
  "session-taken": "Another connection has gone on with the session or ended it",
  "stopping": "This service is stopping; another one will answer",
  "store-unavailable": "The sessions cannot be reached",
  "timeout": "The models did not answer in time",
  "too-many-sockets": "Too many sockets are open at once",
  "unauthenticated": "A valid API key is needed",
  "unavailable": "The models are not ready",
  "wrong-door": "The token is not for this address",
};

const SESSION_NAME = /^[A-Za-z0-9._-]{1,128}$/;
const FINAL_CODES = new Set([4400, 4401, 4403, 4404, 4405, 4406, 4409, 4422]);

/** An error that says what the service said: `title`, `detail`, `status`, and a stable `slug`. */
export class Problem extends Error {
  /** @param {{type?: string, title?: string, status?: number, detail?: string,
   *           request_id?: string}} body */
  constructor(body) {
    super(body.title ?? "The request failed");
    this.name = "Problem";
    this.slug = (body.type ?? "").replace(URN, "");
    this.title = this.message;
    this.status = body.status ?? 0;
    this.detail = body.detail ?? "";
    this.requestId = body.request_id ?? "";
  }

  /** The problem of a reply that is none of 2xx. @param {Response} response */
  static async fromResponse(response) {
    const type = response.headers.get("Content-Type") ?? "";
    if (type.startsWith("application/problem+json")) return new Problem(await response.json());
    return new Problem({
      title: `The service answered ${response.status} ${response.statusText}`.trim(),
      status: response.status,
    });
  }

  /** The problem of a request that no service answered. */
  static unreachable() {
    return new Problem({
      type: URN + "unreachable",
      title: "The service cannot be reached",
      detail: "It may be stopped, or the network is away.",
    });
  }

  /** The problem that a socket was closed with. @param {number} code @param {string} reason */
  static fromClose(code, reason) {
    if (!(reason in CLOSE_TITLES)) return Problem.unreachable();
    const status = code >= 4400 && code < 4600 ? code - 4000 : 0;
    return new Problem({ type: URN + reason, title: CLOSE_TITLES[reason], status });
  }
}

/** Whether connecting again cannot help. @param {number} code */
export function isFinal(code) {
  return FINAL_CODES.has(code);
}

/** The problem of a session's name that cannot be one, at the end of its address. */
export function wrongName(url) {
  const name = decodeURIComponent(new URL(url).pathname.split("/").at(-1));
  if (SESSION_NAME.test(name)) return null;
  return new Problem({
    type: `${URN}invalid-request`,
    title: CLOSE_TITLES["invalid-request"],
    status: 422,
    detail: "A session's name is 1 to 128 letters, digits, `.`, `_`, `-`.",
  });
}

/** The problem of a place without sockets, such as Node.js 20. */
export function noSockets() {
  return new Problem({
    title: "There is no WebSocket here",
    detail: "Node.js has it from 22 on, and 20 with --experimental-websocket; or give one: " +
      "new Countenance({ WebSocket }).",
  });
}
