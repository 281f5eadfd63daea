/** Types of the JavaScript client; the bodies of replies are those of the service's `/docs`. */

export interface AlignOptions {
  include?: ("aligned" | "denoised")[];
  maxFaces?: number;
  minFacePx?: number;
  minQuality?: number;
  denoise?: "auto" | "off";
  /** Corners x1, y1, x2, y2 in pixels: the detector is skipped, one face is answered for each. */
  boxes?: number[][];
  signal?: AbortSignal;
}

export interface AffectOptions {
  rateHz?: number;
  variant?: string;
  maxFaces?: number;
  minFacePx?: number;
  minQuality?: number;
  /** Two thirds of a change are answered after it; 0 gives every moment's own. */
  smoothingS?: number;
  signal?: AbortSignal;
}

export interface TrackOptions extends Omit<AffectOptions, "smoothingS"> {
  steady?: boolean;
  smoothing?: boolean;
}

export interface TrackLiveOptions extends Omit<TrackOptions, "rateHz" | "signal"> {
  /** Whether a newer frame replaces one that still waits; false if not given. */
  drop?: boolean;
}

export interface AffectLiveOptions extends Omit<AffectOptions, "rateHz" | "signal"> {
  /** A frame is estimated so much later, with the sound until then. */
  delayS?: number;
  drop?: boolean;
}

export interface ModelVersion {
  name: string;
  version: string;
  sha256: string;
}

/** What is said of a face wherever there is one; what cannot be had is null. */
export interface FaceRecord {
  box: [number, number, number, number];
  /** The detector's; null of a box that was given and while the face is followed. */
  score: number | null;
  landmarks: [number, number][] | null;
  pose: { pitch_deg: number; yaw_deg: number; roll_deg: number; position_mm?: number[] | null } | null;
  quality: number | null;
  degradation: { class: string; probabilities: Record<string, number> } | null;
  actions: Record<string, number> | null;
  face_probability: number | null;
}

export interface Face extends FaceRecord {
  landmarks: [number, number][];
  quality: number;
  degradation: { class: string; probabilities: Record<string, number> };
  denoised: boolean;
  aligned?: string | null;
  denoised_face?: string | null;
}

export interface AlignReply {
  model: ModelVersion;
  image: { width: number; height: number; format: string; rotated: boolean; frames: number };
  notes: string[];
  faces: Face[];
  timings_ms: Record<string, number>;
}

/** What a face looks like; no measure of what anybody feels. What cannot be had is null. */
export interface Estimate {
  valence: number | null;
  arousal: number | null;
  quadrant: string | null;
  expressions: Record<string, number> | null;
  confidence: number | null;
}

export interface PhotographReply {
  model: ModelVersion;
  variant: string;
  image: AlignReply["image"];
  notes: string[];
  faces: (Estimate & { face: Face })[];
  timings_ms: Record<string, number>;
}

/** A reply to a frame of a live session; see `/asyncapi.yaml` for all of its fields. */
export interface LiveReply {
  type: "frame" | "error";
  sequence?: number;
  status?: string;
  step?: number;
  time_s?: number;
  [field: string]: unknown;
}

/** A line of a clip's answer: the clip, then its frames, then the summary. */
export interface ClipLine {
  type: "clip" | "frame" | "summary";
  [field: string]: unknown;
}

/** An error in the service's words; `slug` is stable, such as `rate-limited`. */
export declare class Problem extends Error {
  readonly slug: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly requestId: string;
}

export type LiveState = "idle" | "connecting" | "open" | "waiting" | "closed";

/** A live session that connects again by itself; events `state` and `refusal`. */
export declare class LiveSession extends EventTarget {
  readonly state: LiveState;
  open(): void;
  /** The reply, or null where the connection was lost before it came; rejects when not open. */
  send(picture: Blob | ArrayBuffer, timeS: number): Promise<LiveReply | null>;
  /** Mono samples at 22 050 Hz; false where they were left out. */
  sendSound(samples: Int16Array, timeS: number): boolean;
  /** Wait until name and options are taken; rejects with the {@link Problem} that refuses them. */
  whenOpen(): Promise<void>;
  /** Wait until another frame may be sent. */
  whenFree(): Promise<void>;
  reset(): void;
  setOptions(options: TrackLiveOptions | AffectLiveOptions): void;
  cut(): void;
  hurry(): void;
  close(problem?: Problem | null): void;
}

/** Asks one service; failures are thrown as {@link Problem}. */
export declare class Countenance {
  constructor(settings?: {
    url?: string;
    key?: string | null | (() => string | null);
    /** What opens sockets where nothing else does, as on Node.js 20. */
    WebSocket?: typeof WebSocket;
  });
  align(picture: Blob, options?: AlignOptions): Promise<AlignReply>;
  alignAs(picture: Blob, mediaType: "text/csv" | "image/png", options?: AlignOptions): Promise<Blob>;
  affect(clip: Blob, options?: AffectOptions): AsyncGenerator<ClipLine>;
  affectPhoto(picture: Blob, options?: AffectOptions): Promise<PhotographReply>;
  track(clip: Blob, options?: TrackOptions): AsyncGenerator<ClipLine>;
  trackLive(session: string, options?: TrackLiveOptions): LiveSession;
  affectLive(session: string, options?: AffectLiveOptions): LiveSession;
  end(kind: "track" | "affect", session: string): Promise<void>;
  models(): Promise<Record<string, unknown>[]>;
  ready(): Promise<Record<string, unknown>>;
}
