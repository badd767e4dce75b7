/** One press of Start until the last words have come: a source, its tape, and the sessions it takes, more than one after a lost connection. */

import { fullJitterMs } from './backoff.js';
import { SAMPLE_RATE_HZ } from './level.js';
import { Tape } from './tape.js';

const PUMP_MS = 100;
const PIECES_PER_PUMP = 2;
const START_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 10_000;
const START_ATTEMPTS = 6;

/** Dispatches `phase`, `chunk`, `sent`, `session`, `words`, `problem` and `gap`. */
export class Recording extends EventTarget {
  /** @type {'opening' | 'live' | 'stopping' | 'done'} */
  phase = 'opening';
  tape = new Tape();
  /** @type {{id: string, baseMs: number, seq: number} | null} */
  #session = null;
  #listening = new AbortController();
  #attempts = 0;
  #startTimer = 0;
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
    this.options = options;
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
    this.#listen();
    this.#pumpTimer = window.setInterval(() => this.#pump(), PUMP_MS);
    this.#begin();
  }

  /** Ends the source and waits for the last words; a second call does not wait. */
  async stop() {
    if (this.phase === 'stopping' || this.phase === 'opening') return this.#finish();
    if (this.phase === 'done') return;
    this.#enter('stopping');
    this.#stopTimer = window.setTimeout(() => this.#giveUp(), STOP_DEADLINE_MS);
    await this.source.stop();
    this.#pump();
  }

  #listen() {
    const { signal } = this.#listening;
    /** @type {[string, (detail: any) => void][]} */
    const handlers = [
      ['state', ({ state }) => this.#connectionChanged(state)],
      ['session_started', (started) => this.#sessionStarted(started)],
      ['transcription', (words) => this.#wordsCame(words)],
      ['audio_ack', ({ acked_ms: ackedMs }) => this.#settle(ackedMs)],
      ['streaming_stopped', () => this.#finish()],
      ['error', (error) => this.#failed(error)],
    ];
    for (const [name, handle] of handlers) {
      const listener = (/** @type {any} */ event) => handle(event.detail ?? {});
      this.connection.addEventListener(name, listener, { signal });
    }
  }

  #begin() {
    if (this.connection.state !== 'connected' || this.#session) return;
    clearTimeout(this.#startTimer);
    this.#startTimer = window.setTimeout(() => {
      this.#failed({ message: 'the service did not start a session in time', code: 'timeout', retryable: true });
    }, START_DEADLINE_MS);
    this.connection.emit('start_streaming', this.options);
  }

  /** @param {import('./protocol.js').SessionStarted} started */
  #sessionStarted(started) {
    clearTimeout(this.#startTimer);
    this.#attempts = 0;
    const baseMs = this.tape.rewind();
    this.#session = { id: started.session_id, baseMs, seq: 0 };
    this.#stopSent = false;
    this.#tell('session', started);
    if (this.tape.lostMs > 0) this.#tell('gap', { lostMs: this.tape.lostMs, atMs: baseMs });
    this.tape.lostMs = 0;
    this.#pump();
  }

  /** @param {import('./protocol.js').Transcription} words */
  #wordsCame(words) {
    if (!this.#session) return;
    const { baseMs } = this.#session;
    this.#tell('words', { words, baseMs });
    if (words.is_final) this.#settle(words.end_ms);
  }

  /** @param {number | undefined} sessionMs */
  #settle(sessionMs) {
    if (this.#session && sessionMs !== undefined) this.tape.settle(this.#session.baseMs + sessionMs);
  }

  /** @param {import('./protocol.js').ConnectionState} state */
  #connectionChanged(state) {
    this.#session = null;
    clearTimeout(this.#startTimer);
    if (state === 'connected') this.#begin();
    if (state === 'rejected' || state === 'closed') void this.source.stop().then(() => this.#finish());
  }

  /** @param {import('./protocol.js').ServiceError} error */
  #failed(error) {
    const starting = !this.#session;
    clearTimeout(this.#startTimer);
    const again = starting && error.retryable === true && this.#attempts < START_ATTEMPTS;
    const retryInMs = again ? fullJitterMs(this.#attempts + 2) : undefined;
    this.#tell('problem', { error, retryInMs });
    if (again) {
      this.#attempts += 1;
      this.#startTimer = window.setTimeout(() => this.#begin(), retryInMs);
    } else if (starting) void this.source.stop().then(() => this.#finish());
    else if (error.retryable === false) void this.stop();
  }

  /** @param {import('./protocol.js').Chunk} chunk */
  #hear(chunk) {
    if (this.phase === 'done') return;
    this.tape.push(chunk.pcm);
    this.#tell('chunk', chunk);
    this.#pump();
  }

  /** Sends what is on the tape: at once while live, at a few times real time after a reconnect. */
  #pump() {
    const session = this.#session;
    if (!session || this.connection.congested) return;
    for (let count = 0; count < PIECES_PER_PUMP; count += 1) {
      const piece = this.tape.take();
      if (!piece) break;
      session.seq += 1;
      this.connection.sendAudio(session.seq, piece.pcm);
      this.#tell('sent', { endMs: piece.endMs - session.baseMs });
    }
    if (this.phase === 'stopping' && this.tape.drained && !this.#stopSent) {
      this.#stopSent = true;
      this.connection.emit('stop_streaming');
    }
  }

  #giveUp() {
    this.#tell('problem', { error: { message: 'the last words did not come in time', code: 'timeout' } });
    this.#finish();
  }

  #finish() {
    if (this.phase === 'done') return;
    for (const timer of [this.#startTimer, this.#stopTimer, this.#pumpTimer]) clearTimeout(timer);
    this.#listening.abort();
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
