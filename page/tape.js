/** Audio that no final covers yet: what a new session is given after a lost connection, so that no word is missed. */

import { SAMPLE_RATE_HZ } from './level.js';

const KEPT_MS = 30_000;
const samplesMs = (/** @type {number} */ samples) => (samples * 1000) / SAMPLE_RATE_HZ;

/** @typedef {{pcm: Int16Array, startMs: number, endMs: number}} Piece */

export class Tape {
  /** @type {Piece[]} */
  #pieces = [];
  #endMs = 0;
  #next = 0;
  #finalMs = 0;
  /** Milliseconds that were dropped before they were ever sent. */
  lostMs = 0;

  /** @param {Int16Array} pcm */
  push(pcm) {
    const startMs = this.#endMs;
    this.#endMs += samplesMs(pcm.length);
    this.#pieces.push({ pcm, startMs, endMs: this.#endMs });
    while (this.#endMs - this.#pieces[0].startMs > KEPT_MS) this.#drop();
  }

  #drop() {
    const piece = this.#pieces.shift();
    if (this.#next > 0) this.#next -= 1;
    else if (piece) this.lostMs += piece.endMs - piece.startMs;
  }

  /**
   * The next piece to send, or null when all of it is sent.
   * @returns {Piece | null}
   */
  take() {
    const piece = this.#pieces[this.#next];
    if (!piece) return null;
    this.#next += 1;
    return piece;
  }

  /**
   * A final covers the audio up to here.
   * @param {number} untilMs
   */
  settle(untilMs) {
    this.#finalMs = Math.max(this.#finalMs, Math.min(untilMs, this.#endMs));
    while (this.#next > 0 && this.#pieces[0].endMs <= this.#finalMs) this.#drop();
  }

  /**
   * Everything without a final is to be sent again; gives the recording time at which that audio starts.
   * @returns {number}
   */
  rewind() {
    this.#next = 0;
    const first = this.#pieces[0];
    if (!first) return this.#endMs;
    if (first.startMs < this.#finalMs && first.endMs > this.#finalMs) {
      const cut = Math.round(((this.#finalMs - first.startMs) * SAMPLE_RATE_HZ) / 1000);
      this.#pieces[0] = { pcm: first.pcm.slice(cut), startMs: first.startMs + samplesMs(cut), endMs: first.endMs };
    }
    return this.#pieces[0].startMs;
  }

  get drained() {
    return this.#next >= this.#pieces.length;
  }

  /** Audio heard so far in milliseconds. */
  get endMs() {
    return this.#endMs;
  }
}
