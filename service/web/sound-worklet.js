/** In the audio thread: the microphone's blocks into runs of 16-bit mono at 22 050 Hz. @module */

import { Resampler } from "./resample.js";

const RATE_HZ = 22050;
const RUN = 2205;

class SoundRuns extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, RATE_HZ);
  #run = new Int16Array(RUN);
  #filled = 0;
  #start = 0;

  process([channels]) {
    if (!channels.length) return true;
    for (const value of this.#resampler.push(mix(channels))) {
      this.#run[this.#filled] = Math.round(Math.max(-1, Math.min(1, value)) * 32767);
      this.#filled += 1;
      if (this.#filled === RUN) this.#post();
    }
    return true;
  }

  #post() {
    this.port.postMessage({ start: this.#start, samples: this.#run });
    this.#start += RUN;
    this.#run = new Int16Array(RUN);
    this.#filled = 0;
  }
}

function mix(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, index) => {
    const sum = channels.reduce((total, channel) => total + channel[index], 0);
    return sum / channels.length;
  });
}

registerProcessor("sound-runs", SoundRuns);
