/** One press of Start until the last words have come: a source, its tape, and the sessions it takes, more than one after a lost connection. */

import { Session } from './session.js';
import { Tape } from './tape.js';

const PUMP_MS = 100;
const PIECES_PER_PUMP = 2;
const STOP_DEADLINE_MS = 10_000;

/** Dispatches `phase`, `chunk`, `sent`, `session`, `words`, `problem` and `gap`. */
export class Recording extends EventTarget {
  /** @type {'opening' | 'live' | 'stopping' | 'done'} */
  phase = 'opening';
  #tape = new Tape();
  /** Recording time at which the present session began. */
  #baseMs = 0;
  #stopTimer = 0;
  #pumpTimer = 0;
  #stopSent = false;

  /**
   * @param {import('./connection.js').Connection} connection
   * @param {import('./protocol.js').Source} source
   * @param {import('./protocol.js').StreamOptions} options
   */
  constructor(connection, source, options) {
    super();
    this.connection = connection;
    this.source = source;
    this.session = new Session(connection, options);
  }

  /** Opens the source, then a session; rejects when the source cannot be had. */
  async start() {
    try {
      await this.source.start((chunk) => this.#hear(chunk), () => void this.stop());
    } catch (error) {
      this.#finish();
      throw error;
    }
    if (this.phase !== 'opening') return this.source.stop();
    this.#enter('live');
    this.#pumpTimer = window.setInterval(() => this.#pump(), PUMP_MS);
    this.#bind();
    this.session.open();
  }

  /** Ends the source and waits for the last words; a second call does not wait. */
  async stop() {
    if (this.phase !== 'live') return this.#finish();
    this.#enter('stopping');
    this.#stopTimer = window.setTimeout(() => this.#giveUp(), STOP_DEADLINE_MS);
    await this.source.stop();
    this.#pump();
  }

  /** Whether a session takes the audio just now. */
  get streaming() {
    return this.phase === 'live' && this.session.running;
  }

  #bind() {
    /** @type {[string, (detail: any) => void][]} */
    const handlers = [
      ['started', (started) => this.#started(started)],
      ['words', (words) => this.#words(words)],
      ['settled', ({ untilMs }) => this.#tape.settle(this.#baseMs + untilMs)],
      ['problem', (problem) => this.#tell('problem', problem)],
      ['failed', () => void this.stop()],
      ['refused', () => this.#finish()],
      ['ended', () => this.#finish()],
    ];
    for (const [name, handle] of handlers) {
      this.session.addEventListener(name, (event) => handle(/** @type {CustomEvent} */ (event).detail));
    }
  }

  /** A session begins with the audio that no final covers. @param {import('./protocol.js').SessionStarted} started */
  #started(started) {
    this.#baseMs = this.#tape.rewind();
    this.#stopSent = false;
    this.#tell('session', started);
    if (this.#tape.lostMs > 0) this.#tell('gap', { lostMs: this.#tape.lostMs });
    this.#tape.lostMs = 0;
    this.#pump();
  }

  /** @param {import('./protocol.js').Transcription} words */
  #words(words) {
    this.#tell('words', { words, baseMs: this.#baseMs });
    if (words.is_final && words.end_ms !== undefined) this.#tape.settle(this.#baseMs + words.end_ms);
  }

  /** @param {import('./protocol.js').Chunk} chunk */
  #hear(chunk) {
    if (this.phase === 'done') return;
    this.#tape.push(chunk.pcm);
    this.#tell('chunk', chunk);
    this.#pump();
  }

  /** Sends what is on the tape: at once while live, at a few times real time after a reconnect. */
  #pump() {
    if (!this.session.running || this.connection.congested) return;
    for (let count = 0; count < PIECES_PER_PUMP; count += 1) {
      const piece = this.#tape.take();
      if (!piece) break;
      this.session.send(piece.pcm);
      this.#tell('sent', { endMs: piece.endMs - this.#baseMs });
    }
    if (this.phase === 'stopping' && this.#tape.drained && !this.#stopSent) {
      this.#stopSent = true;
      this.session.stop();
    }
  }

  #giveUp() {
    this.#tell('problem', { error: { message: 'the last words did not come in time', code: 'timeout' } });
    this.#finish();
  }

  #finish() {
    if (this.phase === 'done') return;
    clearTimeout(this.#stopTimer);
    clearInterval(this.#pumpTimer);
    this.session.close();
    void this.source.stop();
    this.#enter('done');
  }

  /** @param {Recording['phase']} phase */
  #enter(phase) {
    this.phase = phase;
    this.#tell('phase', phase);
  }

  /** @param {string} name @param {unknown} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
