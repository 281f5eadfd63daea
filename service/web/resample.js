/** Sound at the machine's rate to sound at another one, block by block. @module */

const LOBES = 8;

/**
 * Resamples a stream with a windowed sinc, cut off at the lower of both half rates, so that nothing
 * above it folds back. The output lags by half the filter's length.
 */
export class Resampler {
  #step;
  #reach;
  #cutoff;
  #held = new Float32Array(0);
  #next = 0; // place of the next output sample, in input samples from the start of what is held

  /** @param {number} fromHz @param {number} toHz */
  constructor(fromHz, toHz) {
    this.#step = fromHz / toHz;
    this.#cutoff = Math.min(1, toHz / fromHz);
    this.#reach = Math.ceil(LOBES / this.#cutoff);
    this.#held = new Float32Array(this.#reach);
    this.#next = this.#reach;
  }

  /** The samples that follow from one more block. @param {Float32Array} block */
  push(block) {
    const input = new Float32Array(this.#held.length + block.length);
    input.set(this.#held);
    input.set(block, this.#held.length);
    const output = [];
    while (this.#next + this.#reach < input.length) {
      output.push(this.#at(input, this.#next));
      this.#next += this.#step;
    }
    const used = Math.max(0, Math.floor(this.#next) - this.#reach);
    this.#held = input.slice(used);
    this.#next -= used;
    return Float32Array.from(output);
  }

  #at(input, place) {
    const first = Math.ceil(place - this.#reach);
    const last = Math.floor(place + this.#reach);
    let [sum, weights] = [0, 0];
    for (let index = first; index <= last; index += 1) {
      const weight = kernel((index - place) * this.#cutoff);
      sum += weight * input[index];
      weights += weight;
    }
    return sum / weights;
  }
}

/** A sinc under Hann's window of `LOBES` lobes a side. */
function kernel(x) {
  if (Math.abs(x) >= LOBES) return 0;
  if (x === 0) return 1;
  const angle = Math.PI * x;
  return (Math.sin(angle) / angle) * (0.5 + 0.5 * Math.cos(angle / LOBES));
}
