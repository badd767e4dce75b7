/** Runs on the audio thread: turns what the microphone gives into 16 kHz mono PCM16 in chunks of 100 ms. */

import { CHUNK_SAMPLES, SAMPLE_RATE_HZ, levels } from './level.js';
import { Resampler } from './resampler.js';

class Chunker extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, SAMPLE_RATE_HZ);
  #pcm = new Int16Array(CHUNK_SAMPLES);
  #filled = 0;
  #ended = false;

  constructor() {
    super();
    this.port.onmessage = () => this.#finish();
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const channel = inputs[0]?.[0];
    if (channel && !this.#ended) for (const sample of this.#resampler.push(channel)) this.#write(sample);
    return !this.#ended;
  }

  /** @param {number} sample */
  #write(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.#pcm[this.#filled] = Math.round(clipped * (clipped < 0 ? 32_768 : 32_767));
    this.#filled += 1;
    if (this.#filled === CHUNK_SAMPLES) this.#post();
  }

  #post() {
    const pcm = this.#pcm.slice(0, this.#filled);
    this.#filled = 0;
    this.port.postMessage({ pcm, levels: levels(pcm) }, [pcm.buffer]);
  }

  /** The last, shorter chunk; then a null to say that nothing follows. */
  #finish() {
    this.#ended = true;
    if (this.#filled > 0) this.#post();
    this.port.postMessage(null);
  }
}

registerProcessor('chunker', Chunker);
