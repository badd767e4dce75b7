/** A recorded clip as a source: heard through the speakers and handed on at the pace it is heard. */

import { CHUNK_SAMPLES, SAMPLE_RATE_HZ, levels } from './level.js';

const TICK_MS = 40;

/**
 * The samples of a 16 kHz mono PCM16 WAV file.
 * @param {ArrayBuffer} file
 * @returns {Int16Array}
 */
export function wavSamples(file) {
  const view = new DataView(file);
  for (let at = 12; at + 8 <= file.byteLength; ) {
    const bytes = view.getUint32(at + 4, true);
    const isData = view.getUint32(at, false) === 0x64617461;
    if (isData) return new Int16Array(file.slice(at + 8, at + 8 + (Math.min(bytes, file.byteLength - at - 8) & ~1)));
    at += 8 + bytes + (bytes & 1);
  }
  throw new Error('no audio in the sample');
}

/** @typedef {import('./protocol.js').Source} Source */

/** @implements {Source} */
export class Sample {
  kind = /** @type {const} */ ('sample');
  lang = 'en';
  /** @type {AudioContext | null} */
  #context = null;
  #timer = 0;

  /** @param {string | URL} url */
  constructor(url) {
    this.url = url;
  }

  /**
   * @param {(chunk: import('./protocol.js').Chunk) => void} onChunk
   * @param {() => void} onEnd the clip is over
   */
  async start(onChunk, onEnd) {
    this.#context = new AudioContext({ sampleRate: SAMPLE_RATE_HZ });
    const response = await fetch(this.url);
    if (!response.ok) throw new Error(`sample answered ${response.status}`);
    const pcm = wavSamples(await response.arrayBuffer());
    if (!this.#context) return;
    this.#play(this.#context, pcm);
    this.#pace(pcm, onChunk, onEnd);
  }

  /**
   * @param {AudioContext} context
   * @param {Int16Array} pcm
   */
  #play(context, pcm) {
    const buffer = context.createBuffer(1, pcm.length, SAMPLE_RATE_HZ);
    buffer.copyToChannel(Float32Array.from(pcm, (sample) => sample / 32_768), 0);
    const node = new AudioBufferSourceNode(context, { buffer });
    node.connect(context.destination);
    node.start();
    void context.resume();
  }

  /**
   * @param {Int16Array} pcm
   * @param {(chunk: import('./protocol.js').Chunk) => void} onChunk
   * @param {() => void} onEnd
   */
  #pace(pcm, onChunk, onEnd) {
    const startedAtMs = performance.now();
    let at = 0;
    this.#timer = window.setInterval(() => {
      const heard = ((performance.now() - startedAtMs) * SAMPLE_RATE_HZ) / 1000;
      while (at < pcm.length && Math.min(at + CHUNK_SAMPLES, pcm.length) <= heard) {
        const chunk = pcm.slice(at, at + CHUNK_SAMPLES);
        at += chunk.length;
        onChunk({ pcm: chunk, levels: levels(chunk) });
      }
      if (at >= pcm.length) {
        clearInterval(this.#timer);
        onEnd();
      }
    }, TICK_MS);
  }

  async stop() {
    clearInterval(this.#timer);
    const context = this.#context;
    this.#context = null;
    await context?.close();
  }
}
