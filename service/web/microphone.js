/** The microphone as runs of samples with their times on the page's clock. @module */

const RATE_HZ = 22050;
const DRIFT_S = 0.3;

/** Hands on sound in order; after a pause the times go on from now. */
export class Microphone {
  #context = new AudioContext();
  #began = NaN;

  /**
   * @param {MediaStream} stream
   * @param {(samples: Int16Array, startMs: number) => void} hear `samples` are mono at 22 050 Hz,
   *   `startMs` is the time of the first one by performance.now.
   */
  async open(stream, hear) {
    await this.#context.audioWorklet.addModule(new URL("sound-worklet.js", import.meta.url));
    const source = this.#context.createMediaStreamSource(stream);
    const runs = new AudioWorkletNode(this.#context, "sound-runs", { numberOfOutputs: 0 });
    runs.port.onmessage = ({ data }) => hear(data.samples, this.#startMs(data));
    source.connect(runs);
    await this.#context.resume();
  }

  close() {
    this.#context.close();
  }

  #startMs({ start, samples }) {
    const now = performance.now();
    const counted = this.#began + (start / RATE_HZ) * 1000;
    const seen = now - (samples.length / RATE_HZ) * 1000;
    if (Math.abs(counted - seen) < DRIFT_S * 1000) return counted;
    this.#began = seen - (start / RATE_HZ) * 1000;
    return seen;
  }
}
