/** A picture that can be enlarged and moved within its stage. @module */

const MOST = 24;
const STEP = 1.6;
const FACE_SHARE = 0.5; // of the stage, for a face that is zoomed to

/** Transforms `picture` inside `stage` by wheel, drag, pinch, keys and buttons. */
export class Zoom {
  #stage;
  #picture;
  #changed;
  #scale = 1;
  #x = 0;
  #y = 0;
  /** @type {Map<number, {x: number, y: number}>} */
  #pointers = new Map();

  /**
   * @param {HTMLElement} stage @param {HTMLElement} picture
   * @param {() => void} changed what lies over the picture is drawn anew by it
   */
  constructor(stage, picture, changed) {
    this.#stage = stage;
    this.#picture = picture;
    this.#changed = changed;
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, ({ pointerId }) => this.#pointers.delete(pointerId));
    }
  }

  /** Show the whole picture. */
  fit() {
    this.#place(1, 0, 0);
  }

  /** Enlarge (or with a negative count, shrink) around the middle. @param {number} steps */
  step(steps) {
    const { width, height } = this.#stage.getBoundingClientRect();
    this.#around(width / 2, height / 2, STEP ** steps);
  }

  /**
   * Bring a box of the picture to the middle, and enlarge it until it can be seen well.
   * @param {number[]} box corners in pixels of the picture @param {{width: number, height: number}} size
   */
  to(box, size) {
    this.fit();
    const stage = this.#stage.getBoundingClientRect();
    const shown = this.#picture.getBoundingClientRect();
    const unit = Math.min(shown.width / size.width, shown.height / size.height);
    const side = Math.max(box[2] - box[0], box[3] - box[1]) * unit;
    const scale = clamp((FACE_SHARE * Math.min(stage.width, stage.height)) / side, 1, MOST);
    const at = (value, whole) => (value - whole / 2) * unit * scale;
    const x = at((box[0] + box[2]) / 2, size.width);
    const y = at((box[1] + box[3]) / 2, size.height);
    this.#place(scale, -x, -y);
  }

  get isWhole() {
    return this.#scale === 1;
  }

  #wheel(event) {
    if (!event.ctrlKey && this.isWhole && event.deltaY > 0) return; // the page is scrolled
    event.preventDefault();
    const { left, top } = this.#stage.getBoundingClientRect();
    this.#around(event.clientX - left, event.clientY - top, Math.exp(-event.deltaY / 300));
  }

  #down(event) {
    if (event.target.closest("button")) return;
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (!this.isWhole) this.#stage.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (other) this.#pinch(before, now, other);
    else if (!this.isWhole) this.#place(this.#scale, this.#x + now.x - before.x, this.#y + now.y - before.y);
  }

  #pinch(before, now, other) {
    const apart = ({ x, y }) => Math.hypot(x - other.x, y - other.y);
    const { left, top } = this.#stage.getBoundingClientRect();
    const [x, y] = [(now.x + other.x) / 2 - left, (now.y + other.y) / 2 - top];
    this.#around(x, y, apart(now) / Math.max(apart(before), 1));
  }

  /** Scale so that what is seen at `(x, y)` of the stage stays there. */
  #around(x, y, factor) {
    const { width, height } = this.#stage.getBoundingClientRect();
    const scale = clamp(this.#scale * factor, 1, MOST);
    const kept = scale / this.#scale;
    const moved = (at, middle, offset) => at - middle - (at - middle - offset) * kept;
    this.#place(scale, moved(x, width / 2, this.#x), moved(y, height / 2, this.#y));
  }

  #place(scale, x, y) {
    const { width, height } = this.#stage.getBoundingClientRect();
    const most = (extent) => (extent * (scale - 1)) / 2;
    this.#scale = scale;
    this.#x = clamp(x, -most(width), most(width));
    this.#y = clamp(y, -most(height), most(height));
    this.#picture.style.transform =
      scale === 1 ? "" : `translate(${this.#x}px, ${this.#y}px) scale(${scale})`;
    this.#stage.classList.toggle("zoomed", scale > 1);
    this.#changed();
  }
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
